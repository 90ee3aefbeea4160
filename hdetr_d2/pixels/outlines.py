"""The outline of a mask as a single polygon, whatever its shape, for formats with one line per
object.
"""

from typing import Any

import contourpy
import numpy as np


def outline(mask: np.ndarray) -> np.ndarray:
    """The polygon along the outer pixel edges of a mask.

    Parts and holes are connected by lines that go back and forth, with nothing in between. By the
    even-odd rule, exactly the mask's pixels are inside.

    Args:
        mask: bool [H, W].

    Returns:
        int64 [N, 2], x and y from 0 at the outer edge of the first pixel; [0, 2] for an empty mask.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return np.zeros((0, 2), np.int64)
    top, left = rows[0], columns[0]
    polygon, *rings = _rings(mask[top : rows[-1] + 1, left : columns[-1] + 1])
    for ring in rings:
        polygon = _joined(polygon, ring)
    return polygon + (left, top)


def _rings(mask: np.ndarray) -> list[np.ndarray]:
    """Corners along the edges of parts and holes, each int64 [N, 2], in order.

    Marching squares cut each corner half a pixel before and after it; only there their lines are
    diagonal.
    """
    generator = contourpy.contour_generator(z=np.pad(mask, 1).astype(np.float32))
    lines: Any = generator.lines(0.5)  # its type depends on an option that is not used
    rings = []
    for line in lines:  # [P, 2], in pixels of the padded mask, whose centres are whole numbers
        start, end = line[:-1], line[1:]
        oblique = (start != end).all(1)
        rings.append(np.floor((start + end) / 2)[oblique].astype(np.int64))
    return rings


def _joined(polygon: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Both rings as one, connected between their nearest corners."""
    far = (polygon[:, None] - ring[None]) ** 2  # [N, M, 2]
    here, there = np.unravel_index(far.sum(-1).argmin(), far.shape[:2])
    around = np.concatenate([ring[there:], ring[: there + 1]])
    return np.concatenate([polygon[: here + 1], around, polygon[here:]])
