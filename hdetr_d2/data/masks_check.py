"""What a model that learns masks lacks in a json."""

from collections.abc import Iterator

from hdetr_d2.data.coco_json import CocoJson, Problem, describe


def mask_problems(coco: CocoJson) -> Iterator[Problem]:
    """Objects without a mask; masks that are broken are found for every model."""
    for annotation in coco.annotations:
        if not annotation.get("iscrowd", 0) and not annotation.get("segmentation"):
            text = f"{describe(coco, annotation)} has no segmentation, and masks are asked for"
            yield Problem("objects without a mask", text)
