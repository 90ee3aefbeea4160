"""Problems of a json's segmentations. If masks are unneeded, an object without one is fine."""

from collections.abc import Iterator
from typing import Literal

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem, describe
from hdetr_d2.data.coco_json.segmentation import corners, mask_fault, overlap, span, with_area

# What happens to an object without a mask; "unneeded" if no masks are learned.
MissingMasks = Literal["unneeded", "stop", "skip"]
# Fraction of polygons that must agree with their boxes under another reading for it to apply.
MOST = 0.2


def segmentation_problems(
    coco: CocoJson, annotations: list[dict], images: dict, missing_masks: MissingMasks
) -> Iterator[Problem]:
    """Problems of the segmentations.

    Args:
        coco: the json.
        annotations: those that have a box of four finite numbers and an image with a size.
        images: by their ids.
        missing_masks: whether an object without a mask is an error, or left out.
    """
    if guess := _other_reading(annotations, images):
        text = f"{coco.name}: the polygons do not agree with the boxes: they look like {guess}"
        yield Problem("polygons in another format", text, missing_masks != "unneeded")
        return
    for annotation in annotations:
        image = images[annotation["image_id"]]
        if fault := mask_fault(annotation, image["width"], image["height"]):
            text = f"{describe(coco, annotation)} has {fault}"
            yield from _without_mask(annotation, text, missing_masks)


def _without_mask(annotation: dict, text: str, policy: MissingMasks) -> Iterator[Problem]:
    if policy == "unneeded":
        if annotation.get("segmentation"):
            text += ": the box alone is learned"
            yield Problem("segmentation that gives no mask", text, is_error=False)
    elif annotation.get("iscrowd", 0):
        return
    elif policy == "stop":
        text += ", and masks are learned; data.on_missing_mask=skip leaves such objects out"
        yield Problem("objects without a mask", text)
    else:
        text += ": it is left out of training and evaluation"
        yield Problem("objects without a mask, left out", text, is_error=False)


def _other_reading(annotations: list[dict], images: dict) -> str | None:
    """The other format that the polygons of a data set seem to have.

    Counts polygons that agree well with their box under that reading, and badly as they are.
    """
    total, fractions, swapped = 0, 0, 0
    for annotation in annotations:
        polygons = annotation.get("segmentation")
        if not isinstance(polygons, list) or not _are_polygons(polygons):
            continue
        total += 1
        box, (x1, y1, x2, y2) = corners(annotation["bbox"]), span(with_area(polygons))
        if overlap((x1, y1, x2, y2), box) >= 0.5:
            continue
        image = images[annotation["image_id"]]
        width, height = image["width"], image["height"]
        scaled = (x1 * width, y1 * height, x2 * width, y2 * height)
        fractions += overlap(scaled, box) >= 0.5
        swapped += overlap((y1, x1, y2, x2), box) >= 0.5
    if fractions > MOST * total:
        return "fractions of the image size"
    return "y, x instead of x, y" if swapped > MOST * total else None


def _are_polygons(segmentation: list) -> bool:
    if not all(isinstance(part, list) for part in segmentation):
        return False
    numbers = all(isinstance(value, int | float) for part in segmentation for value in part)
    return numbers and bool(with_area(segmentation))
