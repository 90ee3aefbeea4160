"""Tensors for kernels that run on raw pointers, with a margin that none may read or write."""

import torch
from torch import Tensor

MARGIN = 64  # numbers before and after every tensor
_FILL = -77  # of integers


def guarded(tensor: Tensor, margin: int = MARGIN) -> Tensor:
    """The same in the middle of NaNs, or of a number in the case of integers."""
    fill = torch.nan if tensor.is_floating_point() else _FILL
    buffer = torch.full((tensor.numel() + 2 * MARGIN,), fill, dtype=tensor.dtype)
    view = buffer[margin : margin + tensor.numel()].view(tensor.shape)
    return view.copy_(tensor)


def assert_unharmed(view: Tensor) -> None:
    """Nothing was written around it."""
    buffer = view.new_empty(0).set_(view.untyped_storage())
    first = view.storage_offset()
    around = torch.cat([buffer[:first], buffer[first + view.numel() :]])
    assert len(around) == 2 * MARGIN
    assert bool((around.isnan() if around.is_floating_point() else around == _FILL).all())
