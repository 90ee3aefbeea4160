"""Problems of a json's categories, and mismatches between those of two jsons."""

from collections.abc import Iterator, Sequence

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem, first_of, repeated
from hdetr_d2.utils.override_text import for_shell, quoted

# Class names in label order, and their category ids, if they have any.
Labels = tuple[list[str], list[int] | None]


def category_problems(coco: CocoJson) -> Iterator[Problem]:
    if not coco.categories:
        yield Problem("no categories", f"{coco.name} has no categories")
    for i, category in enumerate(coco.categories):
        if "id" not in category or not isinstance(category.get("name"), str):
            text = f"{coco.name}: category number {i} needs an 'id' and a 'name'"
            yield Problem("incomplete category", text)
    for value in repeated(category.get("id") for category in coco.categories):
        text = f"{coco.name}: category id {value} is used more than once"
        yield Problem("repeated category id", text)
    names = [c["name"] for c in coco.categories if isinstance(c.get("name"), str)]
    for name in repeated(names):
        text = f"{coco.name}: several categories have the name {name!r}, and results go by names"
        yield Problem("repeated category name", text, is_error=False)
    for alike in _alike(names):
        text = f"{coco.name}: categories whose names differ in capitals or spaces alone: {alike}"
        yield Problem("similar category names", text, is_error=False)


def _alike(names: Sequence[str]) -> Iterator[str]:
    """Different names that a typing error may have made of one."""
    spellings: dict[str, dict[str, None]] = {}
    for name in names:
        spellings.setdefault("".join(name.casefold().split()), {})[name] = None
    return (", ".join(map(repr, each)) for each in spellings.values() if len(each) > 1)


def labels_of(coco: CocoJson) -> Labels:
    """The classes of a json; those without an id or a name are left out."""
    complete = [c for c in coco.categories if "id" in c and isinstance(c.get("name"), str)]
    ordered = sorted(complete, key=lambda category: category["id"])
    return [category["name"] for category in ordered], [category["id"] for category in ordered]


def unused_classes(coco: CocoJson) -> Iterator[Problem]:
    """Categories without annotations, which a model would learn never to predict."""
    used = {annotation.get("category_id") for annotation in coco.annotations}
    unused = [c for c in coco.categories if c.get("id") not in used]
    if not unused or not used:
        return
    parents = {c.get("supercategory") for c in coco.categories if c not in unused}
    words = [
        f"{c.get('name')} (id {c.get('id')}{', a parent' if c.get('name') in parents else ''})"
        for c in unused
    ]
    text = (
        f"{coco.name}: {len(unused)} of {len(coco.categories)} categories have no object: "
        f"{first_of(words)}; {_skipping(unused)} of training and evaluation"
    )
    yield Problem("categories without objects", text, is_error=False)


def _skipping(categories: Sequence[dict]) -> str:
    """The override that leaves them out, or the first of them if there are many, and its effect."""
    names = [quoted(str(category.get("name"))) for category in categories[:3]]
    override = for_shell(f"data.skip_classes=[{','.join(names)}]")
    which = "such" if len(names) == len(categories) else f"these {len(names)}"
    return f"{override} leaves {which} out"


def category_mismatch(
    first: Labels, second: Labels, names: tuple[str, str] = ("the first", "the second")
) -> str | None:
    """The difference between the classes of two data sets; None if they are the same.

    Args:
        first, second: classes and ids.
        names: how the message refers to the two.
    """
    (classes, ids), (other_classes, other_ids) = first, second
    if set(classes) != set(other_classes):
        lacking = set(classes) - set(other_classes), set(other_classes) - set(classes)
        text = " and ".join(
            f"only {n} has {sorted(c)}" for n, c in zip(names, lacking, strict=True) if c
        )
        return f"must have the same categories: {text}"
    if ids is None or other_ids is None:
        if classes == other_classes:
            return None
        return f"number the classes differently: {classes} and {other_classes}"
    meanings = dict(zip(ids, classes, strict=True))
    others = dict(zip(other_ids, other_classes, strict=True))
    if meanings == others:
        return None
    differing = [i for i in {**meanings, **others} if meanings.get(i) != others.get(i)]
    texts = [
        f"id {i} is {_named(meanings, i)} in {names[0]} and {_named(others, i)} in {names[1]}"
        for i in differing
    ]
    return f"number the classes differently: {first_of(texts)}"


def _named(meanings: dict, category_id: object) -> str:
    return repr(meanings[category_id]) if category_id in meanings else "nothing"
