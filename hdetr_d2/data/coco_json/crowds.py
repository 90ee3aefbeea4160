"""Crowds: regions with uncounted objects. Some tools write masks of single objects as crowds."""

from collections.abc import Iterator

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem, first_of


def crowd_problems(coco: CocoJson) -> Iterator[Problem]:
    """How many annotations are neither learned nor evaluated."""
    if crowds := coco.crowds():
        ids = first_of([annotation.get("id") for annotation in crowds])
        text = (
            f"{coco.name}: {len(crowds)} of {len(coco.annotations)} annotations are crowds "
            f"(iscrowd; annotations {ids}): they are not learned, and evaluation ignores them and "
            "what is found there; data.crowds_as_objects=True reads them as objects"
        )
        yield Problem("crowds", text, is_error=False)
