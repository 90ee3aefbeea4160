"""The size to which an image is resized: each code base rounds in its own way.

Every function takes the shorter and longer side of an image, the desired shorter side, and the
limit of the longer side (None for no limit), all in pixels, and returns the new shorter and longer
side. They follow their sources to the last operation: in case of a tie, the order of
multiplications decides.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

Sides: TypeAlias = tuple[int, int]
Rounding: TypeAlias = Callable[[int, int, int, int | None], Sides]


def nearest(short: int, long: int, side: int, most: int | None) -> Sides:
    """This project's: both sides are scaled equally and rounded."""
    scale = side / short
    if most is not None:
        scale = min(scale, most / long)
    return round(short * scale), round(long * scale)


def detr(short: int, long: int, side: int, most: int | None) -> Sides:
    """DETR's and its successors': the shorter side is exact, the longer one truncated. The limit is
    applied by adjusting the shorter side, which is rounded, so the longer one may exceed it.
    """
    if most is not None and long / short * side > most:
        side = max(1, round(most * short / long))
    return side, int(side * long / short)


def transformers(short: int, long: int, side: int, most: int | None) -> Sides:
    """Hugging Face's: as DETR's, but the longer side is computed from the shorter one before
    rounding.
    """
    exact: float = side
    if most is not None and long / short * side > most:
        exact = most * short / long
        side = round(exact)
    return side, long if side == short else int(exact * long / short)


def torchvision(short: int, long: int, side: int, most: int | None) -> Sides:
    """That of its `Resize(size, max_size)`: the side that is not exact is truncated."""
    longer = int(side * long / short)
    if most is not None and longer > most:
        return int(most * side / longer), most
    return side, longer


def detectron2(short: int, long: int, side: int, most: int | None) -> Sides:
    """That of its `ResizeShortestEdge`: scaled, scaled again if it is too long, and rounded."""
    shorter, longer = float(side), side / short * long
    if most is not None and longer > most:
        scale = most / longer
        shorter, longer = shorter * scale, longer * scale
    return int(shorter + 0.5), int(longer + 0.5)


def mmdetection(short: int, long: int, side: int, most: int | None) -> Sides:
    """That of its `Resize(keep_ratio=True)`: one scale, the smaller one, for both sides."""
    scale = side / short
    if most is not None:
        scale = min(max(side, most) / long, min(side, most) / short)
    return int(short * scale + 0.5), int(long * scale + 0.5)


def route_detr(short: int, long: int, side: int, most: int | None) -> Sides:
    """That of Route-DETR's release: both sides are truncated, in single precision, where dividing a
    number by a tensor means multiplying it by the reciprocal.
    """
    scale = np.float32(1) / np.float32(short) * np.float32(side)
    if most is not None:
        scale = min(scale, np.float32(1) / np.float32(long) * np.float32(most))
    return int(np.float32(short) * scale), int(np.float32(long) * scale)


_ALL = (nearest, detr, transformers, torchvision, detectron2, mmdetection, route_detr)
ROUNDINGS: Mapping[str, Rounding] = {rounding.__name__: rounding for rounding in _ALL}
"""By their names in configs."""
