"""What can be wrong in a data set, and how messages name the place."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hdetr_d2.data.coco_json.content import CocoJson


@dataclass(frozen=True)
class Problem:
    """A problem of a data set: a short name to count it by, a sentence, and whether it is an
    error.
    """

    kind: str
    text: str
    is_error: bool = True


def describe(coco: CocoJson, annotation: dict) -> str:
    """How messages name an annotation: by the entry of the other format that it comes from, or by
    file, annotation id and image id.
    """
    if source := annotation.get("source"):
        return str(source)
    return f"{coco.name}: annotation {annotation.get('id')} of image {annotation.get('image_id')}"


def describe_image(image: dict) -> str:
    """How messages name an image: by its id and, if it has one, its file."""
    file = image.get("file_name")
    return f"image {image.get('id')}" + (f" ({file})" if isinstance(file, str) else "")


def repeated(values: Iterable) -> list:
    return [value for value, times in Counter(values).items() if times > 1]


def first_of(values: Sequence, count: int = 3) -> str:
    """The first few, and the number of the rest, as listed in messages."""
    more = f" and {len(values) - count} more" if len(values) > count else ""
    return ", ".join(map(str, values[:count])) + more
