"""Objects that are annotated more than once, as in merged exports."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem, describe_image


def duplicate_problems(
    coco: CocoJson, annotations: Sequence[dict], images: Mapping
) -> Iterator[Problem]:
    """How many objects have the same image, class and box as another one; crowds are ignored.

    Args:
        coco: the json.
        annotations: those that have a box of four numbers and an image.
        images: by their ids.
    """
    counts = Counter(
        (a["image_id"], a.get("category_id"), *a["bbox"])
        for a in annotations
        if not a.get("iscrowd", 0)
    )
    repeated = [(key[0], times - 1) for key, times in counts.items() if times > 1]
    if repeated:
        text = (
            f"{coco.name}: {sum(times for _, times in repeated)} of {len(annotations)} annotations "
            f"have the image, class and box of another one, as in "
            f"{describe_image(images[repeated[0][0]])}: a query each learns the same object, and "
            "evaluation counts it as often"
        )
        yield Problem("duplicate annotations", text, is_error=False)
