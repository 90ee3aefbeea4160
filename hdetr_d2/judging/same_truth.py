"""Whether two data sets have the same ground truth."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from hdetr_d2.judging.numbered import SHAPES, Task


def truth_difference(
    first: Mapping[str, Any], second: Mapping[str, Any], task: Task = "bbox"
) -> str | None:
    """What differs between the contents of two COCO jsons: "classes", "images" or "objects"; None
    if detections for one can be evaluated on the other. The location and order of images, and
    additional information, do not matter.

    Args:
        first, second: from `whole_truth`.
        task: determines which shapes of objects are compared.
    """
    if _classes(first) != _classes(second):
        return "classes"
    if _images(first) != _images(second):
        return "images"
    return None if _objects(first, task) == _objects(second, task) else "objects"


def _classes(content: Mapping[str, Any]) -> dict:
    return {each["id"]: each.get("name") for each in content["categories"]}


def _images(content: Mapping[str, Any]) -> dict:
    return {each["id"]: (each.get("width"), each.get("height")) for each in content["images"]}


def _objects(content: Mapping[str, Any], task: Task) -> Counter:
    return Counter(
        (
            entry["image_id"],
            entry["category_id"],
            *map(float, (*entry["bbox"], entry["area"], entry["iscrowd"])),
            json.dumps(entry.get(SHAPES[task]), sort_keys=True) if task == "segm" else None,
        )
        for entry in content["annotations"]
    )
