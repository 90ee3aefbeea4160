"""The outline of a mask as one polygon, whatever the mask looks like: formats that have a line for
an object cannot say more.
"""

from typing import Any

import contourpy
import numpy as np


def outline(mask: np.ndarray) -> np.ndarray:
    """The polygon along the outer edges of the pixels of a mask.

    Parts and holes are rings of it: a line goes there and back again, so that nothing is between.
    What is inside by the even-odd rule are exactly the pixels of the mask.

    Args:
        mask: bool [H, W].

    Returns:
        int64 [N, 2], x and y from 0 at the outer edge of the first pixel; of nothing [0, 2].
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
    """Corners of the edges of parts and holes, each int64 [N, 2], in order.

    Marching squares cut each corner of a pixel edge, half a pixel before and behind it: there, and
    only there, a line of theirs is oblique.
    """
    generator = contourpy.contour_generator(z=np.pad(mask, 1).astype(np.float32))
    lines: Any = generator.lines(0.5)  # whose type depends on an option that is not given
    rings = []
    for line in lines:  # [P, 2], in pixels of the padded mask, whose centres are whole numbers
        start, end = line[:-1], line[1:]
        oblique = (start != end).all(1)
        rings.append(np.floor((start + end) / 2)[oblique].astype(np.int64))
    return rings


def _joined(polygon: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Both as one, by a line between their nearest corners."""
    far = (polygon[:, None] - ring[None]) ** 2  # [N, M, 2]
    here, there = np.unravel_index(far.sum(-1).argmin(), far.shape[:2])
    around = np.concatenate([ring[there:], ring[: there + 1]])
    return np.concatenate([polygon[: here + 1], around, polygon[here:]])
