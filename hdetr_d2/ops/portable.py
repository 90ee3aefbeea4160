"""The project's operators in PyTorch's own operations, for graphs that run where ours do not
exist.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeAlias

from torch import Tensor

Attention: TypeAlias = Callable[[Tensor, Sequence[tuple[int, int]], Tensor, Tensor], Tensor]
"""Has the arguments and result of `ms_deform_attn`, unchecked."""

_attention: ContextVar[Attention | None] = ContextVar("hdetr_d2_attention", default=None)


@contextmanager
def attention_as(form: Attention) -> Iterator[None]:
    """Within this context `ms_deform_attn` is `form`, whatever is built, `ms_deform_attn_fused` is
    a softmax followed by it, and `move_boxes` is its reference.
    """
    token = _attention.set(form)
    try:
        yield
    finally:
        _attention.reset(token)


def portable_attention() -> Attention | None:
    """What `ms_deform_attn` currently is; None for kernels, where they are built."""
    return _attention.get()


def is_portable() -> bool:
    """Whether operators currently run in PyTorch's own operations, whatever is built."""
    return _attention.get() is not None
