"""Problems of the annotations of a json: what they lack, and what they name in vain."""

from collections.abc import Iterator

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem, describe, repeated


def annotation_problems(coco: CocoJson) -> Iterator[Problem]:
    images = {image.get("id") for image in coco.images}
    categories = {category["id"] for category in coco.categories if "id" in category}
    for annotation in coco.annotations:
        missing = [k for k in ("id", "image_id", "category_id", "bbox") if k not in annotation]
        if missing:
            text = f"{describe(coco, annotation)} has no {missing[0]!r}"
            yield Problem(f"annotation without {missing[0]}", text)
            continue
        if annotation["image_id"] not in images:
            text = f"{describe(coco, annotation)}: no such image in the json"
            yield Problem("unknown image", text)
        if annotation["category_id"] not in categories:
            known = f"{min(categories)}..{max(categories)}" if categories else "none"
            text = f"{describe(coco, annotation)} has category_id {annotation['category_id']}"
            yield Problem("unknown category", f"{text}, which is not in 'categories' ({known})")
    for value in repeated(a["id"] for a in coco.annotations if "id" in a):
        text = f"{coco.path}: annotation id {value} is used more than once"
        yield Problem("repeated annotation id", text)


def evaluation_gaps(coco: CocoJson) -> Iterator[Problem]:
    """What COCO's evaluation reads and the json lacks; it is filled in, so these are warnings."""
    if not coco.annotations:
        text = f"{coco.path} has no annotations: predictions are written, and compared with nothing"
        yield Problem("no annotations", text, is_error=False)
    for key, instead in (("area", "that of the mask or the box"), ("iscrowd", "0")):
        if count := sum(not isinstance(a.get(key), int | float) for a in coco.annotations):
            text = f"{coco.path}: {count} annotations have no {key!r}: evaluation takes {instead}"
            yield Problem(f"annotations without {key}", text, is_error=False)
