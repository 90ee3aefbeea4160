"""Bool masks [n, H, W] on the CPU, many times as fast as PyTorch's reductions of bool."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def areas(masks: Tensor) -> Tensor:
    """How many pixels each mask has: int64 [n]."""
    # Seen as a flat piece of memory, NumPy counts the bytes of a mask a hundred times as fast as
    # PyTorch sums them, which makes int64 of every pixel first.
    return torch.tensor([np.count_nonzero(mask) for mask in masks.numpy()], dtype=torch.int64)


def any_of(masks: Tensor, *dims: int) -> Tensor:
    """Whether there is a pixel along some dimensions, as `masks.any(dims)`."""
    return torch.from_numpy(masks.numpy().any(axis=dims))


def tight_boxes(masks: Tensor) -> Tensor:
    """Boxes around masks.

    Args:
        masks: bool [n, H, W]; an empty one gets the box of the whole image.

    Returns:
        float [n, 4] xyxy; the right and bottom edges lie behind the last pixel.
    """
    height, width = masks.shape[1:]
    columns, rows = any_of(masks, 1).byte(), any_of(masks, 2).byte()
    left, top = columns.argmax(1), rows.argmax(1)
    right, bottom = width - columns.flip(1).argmax(1), height - rows.flip(1).argmax(1)
    return torch.stack([left, top, right, bottom], dim=1).float()


def resize(masks: Tensor, size: Sequence[int]) -> Tensor:
    """The masks in another size [H', W'], of the same pixels that torchvision's resize takes."""
    resized = masks.numpy()
    # Columns first: they are the dearer ones, and of an enlarged mask there are fewer rows then.
    for axis in (2, 1):
        resized = resized.take(_nearest(resized.shape[axis], size[axis - 1]), axis=axis)
    return torch.from_numpy(resized)


def _nearest(before: int, after: int) -> np.ndarray:
    """For each pixel of a side its source, in PyTorch's arithmetic, which is in float32."""
    scaled = np.arange(after, dtype=np.float32) * (np.float32(before) / np.float32(after))
    return np.minimum(scaled.astype(np.int64), before - 1)
