"""Completes a COCO json whose ids or areas evaluation would misinterpret.

pycocotools and lvis interpret an annotation id of 0 as "no object found", and treat objects with
equal ids as one; Detectron2 cannot read strings as ids; and objects with a missing or impossible
area are lost.
"""

from collections.abc import Sequence

import numpy as np

from hdetr_d2.data.coco_json import CocoJson, evaluated_area, evaluation_gaps
from hdetr_d2.data.temporary_json import temporary_json
from hdetr_d2.errors import UserError

# pycocotools stores ids as floating-point numbers.
LARGEST_ID = 2**53


def whole_json(coco: CocoJson, *, for_evaluation: bool, is_lvis: bool = False) -> str:
    """The path of a json with the same objects, ids 1..n, and nothing missing.

    Args:
        for_evaluation: otherwise ids only need to exist and differ, which suffices for reading.
        is_lvis: `iscrowd` is not needed.

    Returns:
        The path of `coco` itself if it is already complete, or has no annotations; otherwise of a
        temporary file, which is deleted when this process ends. The same json reuses the same file.

    Raises:
        UserError: ids of images or categories that evaluation cannot distinguish.
    """
    if for_evaluation:
        for section in ("images", "categories"):
            _check_ids(coco.name, section, [entry["id"] for entry in getattr(coco, section)])
    is_whole = not coco.annotations or _is_whole(coco, for_evaluation, is_lvis)
    if is_whole and not coco.is_changed:
        return coco.path
    return temporary_json(_whole(coco), name="whole", source=coco.path, called=coco.name)


def _is_whole(coco: CocoJson, for_evaluation: bool, is_lvis: bool) -> bool:
    ids = [annotation.get("id") for annotation in coco.annotations]
    if not all(isinstance(i, int | float | str) for i in ids) or len(set(ids)) < len(ids):
        return False
    if not for_evaluation:
        return True
    if not all(type(i) is int and 0 < i <= LARGEST_ID for i in ids):
        return False
    return not list(evaluation_gaps(coco, is_lvis=is_lvis))


def _whole(coco: CocoJson) -> dict[str, list[dict]]:
    annotations = [
        {**given, "id": number, "area": evaluated_area(given), "iscrowd": _crowd(given)}
        for number, given in enumerate(coco.annotations, start=1)
    ]
    return {"images": coco.images, "annotations": annotations, "categories": coco.categories}


def _crowd(annotation: dict) -> int:
    value = annotation.get("iscrowd", 0)
    return int(bool(value)) if isinstance(value, int | float) else 0


def _check_ids(path: str, section: str, ids: Sequence) -> None:
    """Evaluation sorts them with numpy, which converts them to one numeric type."""
    if np.unique(np.array(ids)).tolist() != sorted(set(ids)):
        raise UserError(
            f"{path}: evaluation cannot tell the ids of {section!r} apart, which are beyond the "
            f"numbers of 64 bits: {min(ids)} to {max(ids)}"
        )
