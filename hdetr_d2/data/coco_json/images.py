"""Problems of the images of a json; their files are not opened."""

from collections.abc import Iterator

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.data.coco_json.problem import Problem, describe_image, first_of, repeated


def is_sized(image: dict) -> bool:
    sides = (image.get("width"), image.get("height"))
    return all(isinstance(side, int | float) and side > 0 for side in sides)


def image_problems(coco: CocoJson, name_key: str) -> Iterator[Problem]:
    for i, image in enumerate(coco.images):
        if "id" not in image:
            yield Problem("image without id", f"{coco.name}: image number {i} has no 'id'")
            continue
        name = image.get(name_key)
        if not name or not isinstance(name, str):
            text = f"{coco.name}: image {image['id']} has no {name_key!r}"
            text += f" but {name!r}" if name else ""
            yield Problem(f"image without {name_key}", text)
        if not is_sized(image):
            size = f"width {image.get('width')} and height {image.get('height')}"
            text = f"{coco.name}: {describe_image(image)} has {size}; both must be positive"
            yield Problem("image without size", text)
    yield from _file_problems(coco, name_key)
    for value in repeated(image["id"] for image in coco.images if "id" in image):
        yield Problem("repeated image id", f"{coco.name}: image id {value} is used more than once")


def _file_problems(coco: CocoJson, name_key: str) -> Iterator[Problem]:
    """Files listed twice, where each entry lacks the objects of the other; Windows paths."""
    ids: dict[str, list] = {}
    for image in coco.images:
        if isinstance(name := image.get(name_key), str):
            ids.setdefault(name, []).append(image.get("id"))
    for name, found in ids.items():
        if len(found) > 1:
            text = f"{coco.name}: images {first_of(found)} are all the file {name!r}"
            yield Problem("file listed more than once", text, is_error=False)
    if windows := [name for name in ids if "\\" in name]:
        text = (
            f"{coco.name}: {len(windows)} of {len(ids)} file names have backslashes, as paths of "
            f"Windows ({first_of(windows, 1)}): elsewhere they are part of the name; write /"
        )
        yield Problem("file names with backslashes", text, is_error=False)
