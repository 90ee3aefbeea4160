"""What can be wrong in a data set, and how a sentence names the place."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hdetr_d2.data.coco_json.content import CocoJson


@dataclass(frozen=True)
class Problem:
    """One fault of a data set: a few words to count it by, a sentence, whether it stops us."""

    kind: str
    text: str
    is_error: bool = True


def describe(coco: CocoJson, annotation: dict) -> str:
    """How a sentence names an annotation: the entry of another format that it was, or else file,
    annotation id and image id.
    """
    if source := annotation.get("source"):
        return str(source)
    return f"{coco.name}: annotation {annotation.get('id')} of image {annotation.get('image_id')}"


def describe_image(image: dict) -> str:
    """How a sentence names an image: by its id, and by its file, if it has one."""
    file = image.get("file_name")
    return f"image {image.get('id')}" + (f" ({file})" if isinstance(file, str) else "")


def repeated(values: Iterable) -> list:
    return [value for value, times in Counter(values).items() if times > 1]


def first_of(values: Sequence, count: int = 3) -> str:
    """The first few, and how many more there are, as a sentence lists them."""
    more = f" and {len(values) - count} more" if len(values) > count else ""
    return ", ".join(map(str, values[:count])) + more
