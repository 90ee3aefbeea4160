"""The sizes of a json's objects by COCO's definition, in their files and after a resize."""

import math
from collections.abc import Sequence

import numpy as np
from detectron2.structures import BoxMode
from torchvision.transforms import v2

from hdetr_d2.data.coco_json import CocoJson
from hdetr_d2.data.resized import Resized, resized

# COCO's limits between small, medium and large objects, in pixels of area.
SMALL, LARGE = 32**2, 96**2


def count_sizes(areas: np.ndarray) -> str:
    """The number of small, medium and large objects."""
    small, large = int((areas < SMALL).sum()), int((areas > LARGE).sum())
    return f"{small} / {len(areas) - small - large} / {large}"


def object_areas(annotations: Sequence[dict]) -> np.ndarray:
    """The `area` of each annotation, otherwise that of its box; those that have neither are left
    out.
    """
    areas = (_area(annotation) for annotation in annotations)
    return np.array([area for area in areas if area is not None], np.float64)


def _area(annotation: dict) -> float | None:
    area, box = annotation.get("area"), annotation.get("bbox")
    if isinstance(area, int | float) and area > 0:
        return area
    return box[2] * box[3] if isinstance(box, list) and _is_box(box) else None


def _is_box(box: object) -> bool:
    if not isinstance(box, list) or len(box) != 4:
        return False
    return all(isinstance(value, int | float) and math.isfinite(value) for value in box)


def resized_objects(coco: CocoJson, transform: v2.Transform) -> Resized | None:
    """See `resized`, for the objects of a json whose boxes are valid."""
    boxes: dict = {}
    for annotation in coco.annotations:
        if _is_box(annotation.get("bbox")):
            known = {**annotation, "bbox_mode": BoxMode.XYWH_ABS}
            boxes.setdefault(annotation.get("image_id"), []).append(known)
    entries = [
        {"image_id": image["id"], **image, "annotations": boxes.get(image["id"], [])}
        for image in coco.images
        if "id" in image and all(_is_side(image.get(side)) for side in ("width", "height"))
    ]
    return resized(entries, transform)


def _is_side(value: object) -> bool:
    return isinstance(value, int | float) and value > 0
