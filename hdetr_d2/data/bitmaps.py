"""Boolean masks [n, H, W] on the CPU, many times faster than PyTorch's reductions of bool."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def areas(masks: Tensor) -> Tensor:
    """The number of pixels of each mask: int64 [n]."""
    # On a contiguous array, NumPy counts the bytes of a mask a hundred times faster than PyTorch
    # sums them, because PyTorch converts every pixel to int64 first.
    return torch.tensor([np.count_nonzero(mask) for mask in masks.numpy()], dtype=torch.int64)


def any_of(masks: Tensor, *dims: int) -> Tensor:
    """Whether any pixel is set along some dimensions, like `masks.any(dims)`."""
    return torch.from_numpy(masks.numpy().any(axis=dims))


def tight_boxes(masks: Tensor) -> Tensor:
    """Boxes around masks.

    Args:
        masks: bool [n, H, W]; an empty mask gets the box of the whole image.

    Returns:
        float [n, 4] xyxy; right and bottom edges are one past the last pixel.
    """
    height, width = masks.shape[1:]
    columns, rows = any_of(masks, 1).byte(), any_of(masks, 2).byte()
    left, top = columns.argmax(1), rows.argmax(1)
    right, bottom = width - columns.flip(1).argmax(1), height - rows.flip(1).argmax(1)
    return torch.stack([left, top, right, bottom], dim=1).float()


def resize(masks: Tensor, size: Sequence[int]) -> Tensor:
    """The masks at another size [H', W'], with the same pixels as torchvision's resize."""
    resized = masks.numpy()
    # Columns first: they are more expensive, and an enlarged mask then still has few rows.
    for axis in (2, 1):
        resized = resized.take(_nearest(resized.shape[axis], size[axis - 1]), axis=axis)
    return torch.from_numpy(resized)


def _nearest(before: int, after: int) -> np.ndarray:
    """The source of each pixel along a side, in PyTorch's arithmetic, which is float32."""
    scaled = np.arange(after, dtype=np.float32) * (np.float32(before) / np.float32(after))
    return np.minimum(scaled.astype(np.int64), before - 1)
