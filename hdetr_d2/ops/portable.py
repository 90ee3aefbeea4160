"""Operators of ours in PyTorch's own operations, for a graph that runs where ours are unknown."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from torch import Tensor

Attention: TypeAlias = Callable[[Tensor, Sequence[tuple[int, int]], Tensor, Tensor], Tensor]
"""Takes and gives what `ms_deform_attn` does, unchecked."""

_attention: ContextVar[Attention | None] = ContextVar("hdetr_d2_attention", default=None)


@contextmanager
def attention_as(form: Attention) -> Iterator[None]:
    """Within it `ms_deform_attn` is `form`, whatever is built here, `ms_deform_attn_fused` that
    after a softmax, and `move_boxes` its twin.
    """
    token = _attention.set(form)
    try:
        yield
    finally:
        _attention.reset(token)


def portable_attention() -> Attention | None:
    """What `ms_deform_attn` is at this moment; None for kernels, where they are built."""
    return _attention.get()


def is_portable() -> bool:
    """Whether operators are in PyTorch's own operations at this moment, whatever is built here."""
    return _attention.get() is not None
