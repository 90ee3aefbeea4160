"""Converts masks within a window, in row-major order, to COCO's run lengths of the whole image, in
column-major order.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils


def run_lengths(
    counts: Sequence[int], window: tuple[int, int, int, int], size: tuple[int, int]
) -> dict[str, Any]:
    """A mask in COCO's format.

    Args:
        counts: run lengths in the window, alternately outside and inside.
        window: left, top, width and height in pixels.
        size: (width, height) of the image.
    """
    left, top, width, height = window
    inside = np.arange(len(counts)) % 2 == 1
    pixels = np.repeat(inside, counts).reshape(height, width)
    mask = np.zeros((size[1] + top + height, size[0] + left + width), np.uint8)
    mask[top : top + height, left : left + width] = pixels
    return encoded(mask[: size[1], : size[0]])


def encoded(mask: np.ndarray) -> dict[str, Any]:
    """A mask [H, W] of 0 and 1."""
    rle = mask_utils.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}
