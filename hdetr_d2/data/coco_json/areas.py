"""The area of an object, by which evaluation assigns it to a size range or ignores it."""

import math
from collections.abc import Sequence

import numpy as np
import pycocotools.mask as mask_utils

from hdetr_d2.data.coco_json.segmentation import has_shape

# The evaluations of COCO and LVIS ignore larger objects.
LARGEST = 1e10


def evaluated_area(annotation: dict) -> float:
    """Its `area` if plausible; otherwise the area of the mask, or without one of the box.

    An area is that of the mask, so it is above zero and not larger than the box, or up to twice as
    large if parts of a mask overlap. An area below a thousandth of the box is in another unit, such
    as fractions of the image, unless the mask agrees.

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
    """0 for anything other than four finite numbers."""
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_finite, box)):
        return 0.0
    return max(box[2], 0) * max(box[3], 0)


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _can_be(area: float, box: float) -> bool:
    return area > 0 and box / 1000 <= area <= 2 * box + 10


def _mask_area(annotation: dict, box: float) -> float:
    """In pixels; the area of the box if the mask is invalid or cannot belong to this box."""
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
