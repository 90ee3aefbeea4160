"""Compiles parts of a model with torch.compile."""

from collections.abc import Sequence

from torch import nn

PARTS = ("backbone", "neck", "encoder", "decoder")
"""Parts of a `DETR` that perform the same computation for every batch, unlike schemes, matching and
losses.
"""


def compile_parts(model: nn.Module, parts: Sequence[str], *, backend: str = "inductor") -> None:
    """Makes torch.compile compile the forward of these parts of `model` at their first call, and
    once more at the second image size, from then on with symbolic sizes. Weights and their names do
    not change.

    Args:
        parts: some of `PARTS`.
        backend: the `backend` of torch.compile.
    """
    for part in parts:
        getattr(model, part).compile(dynamic=True, backend=backend)
