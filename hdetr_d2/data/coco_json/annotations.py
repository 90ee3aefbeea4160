"""Problems of annotations: missing keys and dangling references."""

from collections.abc import Iterator

from hdetr_d2.data.coco_json.areas import evaluated_area
from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem, describe, repeated


def annotation_problems(coco: CocoJson) -> Iterator[Problem]:
    images = {image.get("id") for image in coco.images}
    categories = {category["id"] for category in coco.categories if "id" in category}
    for annotation in coco.annotations:
        missing = [k for k in ("image_id", "category_id", "bbox") if k not in annotation]
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
    names = (a.get("id") for a in coco.annotations)
    if again := repeated(name for name in names if isinstance(name, int | float | str)):
        text = f"{coco.name}: {len(again)} annotation ids are used more than once ({_few(again)})"
        yield Problem("repeated annotation id", f"{text}: they are numbered anew", is_error=False)


def evaluation_gaps(coco: CocoJson, *, is_lvis: bool = False) -> Iterator[Problem]:
    """Missing values that evaluation needs; they are filled in, so these are warnings.

    Args:
        is_lvis: there is no `iscrowd`.
    """
    if not coco.annotations:
        text = f"{coco.name} has no annotations: predictions are written, and compared with nothing"
        yield Problem("no annotations", text, is_error=False)
    replaced = [a for a in coco.annotations if evaluated_area(a) != a.get("area")]
    absent = [a for a in replaced if not isinstance(a.get("area"), int | float)]
    odd = [a for a in replaced if isinstance(a.get("area"), int | float)]
    crowds = [] if is_lvis else coco.annotations
    uncertain = [a for a in crowds if not isinstance(a.get("iscrowd"), int | float)]
    cases = (
        ("without area", "no 'area'", absent, "that of the mask or the box"),
        ("with an odd area", "an 'area' that cannot be", odd, "that of the mask or the box"),
        ("without iscrowd", "no 'iscrowd'", uncertain, "0"),
    )
    for kind, fault, found, instead in cases:
        if found:
            text = f"{coco.name}: {len(found)} annotations have {fault}: evaluation takes {instead}"
            ids = _few([a.get("id") for a in found])
            yield Problem(f"annotations {kind}", f"{text} (annotations {ids})", is_error=False)


def _few(ids: list) -> str:
    return ", ".join(map(str, ids[:3])) + (", ..." if ids[3:] else "")
