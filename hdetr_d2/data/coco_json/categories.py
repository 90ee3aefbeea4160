"""Problems of the categories of a json, and of two that should have the same."""

from collections.abc import Iterator

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem, repeated

# Class names in the order of the labels, and their category ids, where there are any.
Labels = tuple[list[str], list[int] | None]


def category_problems(coco: CocoJson) -> Iterator[Problem]:
    if not coco.categories:
        yield Problem("no categories", f"{coco.path} has no categories")
    for i, category in enumerate(coco.categories):
        if "id" not in category or not isinstance(category.get("name"), str):
            text = f"{coco.path}: category number {i} needs an 'id' and a 'name'"
            yield Problem("incomplete category", text)
    for value in repeated(category.get("id") for category in coco.categories):
        text = f"{coco.path}: category id {value} is used more than once"
        yield Problem("repeated category id", text)
    names = (category.get("name") for category in coco.categories)
    for name in repeated(name for name in names if isinstance(name, str)):
        text = f"{coco.path}: several categories have the name {name!r}, and results go by names"
        yield Problem("repeated category name", text, is_error=False)


def category_mismatch(first: Labels, second: Labels) -> str | None:
    """What tells the classes of two data sets apart; None if they are the same."""
    (names, ids), (other_names, other_ids) = first, second
    if names != other_names:
        only_first, only_second = set(names) - set(other_names), set(other_names) - set(names)
        text = f"only in the first {sorted(only_first)}, only in the second {sorted(only_second)}"
        return f"must have the same categories: {text}"
    if None not in (ids, other_ids) and ids != other_ids:
        return f"have the same class names under other category ids: {ids} and {other_ids}"
    return None
