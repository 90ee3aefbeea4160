"""Problems of the images of a json; their files are not opened."""

from collections.abc import Iterator

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem, repeated


def is_sized(image: dict) -> bool:
    sides = (image.get("width"), image.get("height"))
    return all(isinstance(side, int | float) and side > 0 for side in sides)


def image_problems(coco: CocoJson, name_key: str) -> Iterator[Problem]:
    for i, image in enumerate(coco.images):
        if "id" not in image:
            yield Problem("image without id", f"{coco.path}: image number {i} has no 'id'")
            continue
        name = image.get(name_key)
        if not name or not isinstance(name, str):
            text = f"{coco.path}: image {image['id']} has no {name_key!r}"
            text += f" but {name!r}" if name else ""
            yield Problem(f"image without {name_key}", text)
        if not is_sized(image):
            size = f"width {image.get('width')} and height {image.get('height')}"
            text = f"{coco.path}: image {image['id']} has {size}; both must be positive"
            yield Problem("image without size", text)
    for value in repeated(image["id"] for image in coco.images if "id" in image):
        yield Problem("repeated image id", f"{coco.path}: image id {value} is used more than once")
