"""Parts of a model that torch.compile compiles."""

from collections.abc import Sequence

from torch import nn

PARTS = ("backbone", "neck", "encoder", "decoder")
"""Of a `DETR`: what computes the same of each batch. Schemes, matching and losses do not."""


def compile_parts(model: nn.Module, parts: Sequence[str], *, backend: str = "inductor") -> None:
    """Let torch.compile compile the forward of these parts of `model`, when they are first called,
    and once more at the second size of images: from then on sizes are symbols. Weights and their
    names stay as they are.

    Args:
        parts: some of `PARTS`.
        backend: of torch.compile.
    """
    for part in parts:
        getattr(model, part).compile(dynamic=True, backend=backend)
