"""The area of an object, by which evaluation sorts it into sizes, or leaves it out."""

import math
from collections.abc import Sequence

import numpy as np
import pycocotools.mask as mask_utils

from hdetr_d2.data.coco_json.segmentation import has_shape

# COCO's and LVIS's evaluation leave out what is larger.
LARGEST = 1e10


def evaluated_area(annotation: dict) -> float:
    """Its `area` where that can be; else that of the mask, or without one that of the box.

    An area is of the mask, so it is above zero and not larger than the box: up to twice as large
    where parts of a mask overlap. One below a thousandth of the box is in another unit, such as
    fractions of the image, unless the mask agrees.

    Args:
        annotation: of a COCO json.
    """
    box, given = _box_area(annotation), annotation.get("area")
    area = float(given) if isinstance(given, int | float) else math.nan
    if _can_be(area, box):
        return min(area, LARGEST)
    computed = _mask_area(annotation, box)
    agrees = area > 0 and math.isclose(area, computed, rel_tol=0.01)
    return area if agrees else min(computed, LARGEST)


def _box_area(annotation: dict) -> float:
    """0 of anything that is not four finite numbers."""
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, box)):
        return 0.0
    return max(box[2], 0) * max(box[3], 0)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _can_be(area: float, box: float) -> bool:
    return area > 0 and box / 1000 <= area <= 2 * box + 10


def _mask_area(annotation: dict, box: float) -> float:
    """In pixels; that of the box for a mask that is none, or cannot be of this box."""
    segmentation = annotation.get("segmentation")
    if not segmentation or not has_shape(annotation):
        return box
    if isinstance(segmentation, list):
        area = sum(_polygon_area(polygon) for polygon in segmentation if len(polygon) >= 6)
    elif isinstance(segmentation.get("counts"), list):
        area = float(sum(segmentation["counts"][1::2]))
    else:
        area = float(mask_utils.area(segmentation))
    return area if 0 < area <= 2 * box + 10 else box


def _polygon_area(polygon: Sequence[float]) -> float:
    x, y = np.array(polygon[: len(polygon) // 2 * 2], dtype=float).reshape(-1, 2).T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)
