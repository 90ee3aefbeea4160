"""Reading a COCO-format json, and what can be wrong in it: found before anything trusts it."""

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hdetr_d2.errors import UserError

SECTIONS = ("images", "annotations", "categories")
IDS = {"images": ("id",), "annotations": ("id", "image_id", "category_id"), "categories": ("id",)}
# Share of a side by which a box may leave its image before it counts as a sign of another format.
SLACK = 0.05
# Class names in the order of the labels, and their category ids, where there are any.
Labels = tuple[list[str], list[int] | None]


@dataclass(frozen=True)
class Problem:
    """One fault of a data set: a few words to count it by, a sentence, whether it stops us."""

    kind: str
    text: str
    is_error: bool = True


@dataclass(frozen=True)
class CocoJson:
    """The three lists of a COCO json, as they stand in the file."""

    path: str
    images: list[dict]
    annotations: list[dict]
    categories: list[dict]

    def class_names(self) -> list[str]:
        """Names in the order of the category ids, which is the order of the labels 0..K-1."""
        return [c["name"] for c in sorted(self.categories, key=lambda c: c["id"])]

    def objects_per_image(self) -> Counter:
        """How many objects that are no crowds an image has, for the images that have any."""
        return Counter(a["image_id"] for a in self._usable())

    def images_per_class(self) -> list[int]:
        """In how many images each class has an object that is no crowd, in the order of the labels
        (LVIS calls it `image_count`).
        """
        pairs = {(a["category_id"], a["image_id"]) for a in self._usable()}
        images = Counter(category_id for category_id, _ in pairs)
        return [images[category_id] for category_id in sorted(c["id"] for c in self.categories)]

    def _usable(self) -> Iterator[dict]:
        known = {image["id"] for image in self.images}
        for annotation in self.annotations:
            usable = not annotation.get("iscrowd", 0) and has_shape(annotation)
            if usable and annotation["image_id"] in known:
                yield annotation


def read_coco_json(path: str | os.PathLike, *, annotated: bool = True) -> CocoJson:
    """Read a COCO json.

    Args:
        annotated: it must have `annotations`; those of a test set may be secret.

    Raises:
        UserError: the file is missing, is no JSON (line and column are told), lacks a list, or has
            ids that cannot be compared.
    """
    path = os.fspath(path)
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise UserError(f"{path} is not valid JSON: {error.msg} ({where})") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not valid JSON: it is not text in UTF-8") from None
    if isinstance(content, dict) and not annotated:
        content.setdefault("annotations", [])
    for section in SECTIONS:
        entries = content.get(section) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{path} is not in COCO format: it has no list {section!r} of objects")
        for key in IDS[section]:
            _check_ids(path, section, key, [entry[key] for entry in entries if key in entry])
    return CocoJson(path, *(content[section] for section in SECTIONS))


def _check_ids(path: str, section: str, key: str, values: list) -> None:
    kind = str if values and isinstance(values[0], str) else int | float
    if odd := [value for value in values if not isinstance(value, kind)]:
        raise UserError(
            f"{path} is not in COCO format: {key!r} of {section!r} must be all numbers or all "
            f"words, and {odd[0]!r} is none of these or not like the others"
        )


def has_shape(annotation: dict) -> bool:
    """False if all polygons have fewer than three points: Detectron2 leaves such an object out."""
    segmentation = annotation.get("segmentation")
    if not segmentation or not isinstance(segmentation, list):
        return True
    return any(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in segmentation)


def find_problems(coco: CocoJson, *, is_lvis: bool = False) -> Iterator[Problem]:
    """Everything that is wrong within the json; image files are not opened.

    Args:
        coco: the json.
        is_lvis: images have no `file_name` but a `coco_url`, annotations no `iscrowd`.
    """
    yield from _image_problems(coco, "coco_url" if is_lvis else "file_name")
    yield from _category_problems(coco)
    yield from _annotation_problems(coco)
    images = {i["id"]: i for i in coco.images if _is_sized(i) and "id" in i}
    complete = [a for a in coco.annotations if "bbox" in a and a.get("image_id") in images]
    yield from _box_problems(coco, complete, images)
    yield from _segmentation_problems(coco, complete, images)


def evaluation_gaps(coco: CocoJson) -> Iterator[Problem]:
    """What COCO's evaluation reads and the json lacks; it is filled in, so these are warnings."""
    if not coco.annotations:
        text = f"{coco.path} has no annotations: predictions are written, and compared with nothing"
        yield Problem("no annotations", text, is_error=False)
    for key, instead in (("area", "that of the mask or the box"), ("iscrowd", "0")):
        if count := sum(not isinstance(a.get(key), int | float) for a in coco.annotations):
            text = f"{coco.path}: {count} annotations have no {key!r}: evaluation takes {instead}"
            yield Problem(f"annotations without {key}", text, is_error=False)


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


def describe(coco: CocoJson, annotation: dict) -> str:
    """How a sentence names an annotation: file, annotation id and image id."""
    return f"{coco.path}: annotation {annotation.get('id')} of image {annotation.get('image_id')}"


def _is_sized(image: dict) -> bool:
    sides = (image.get("width"), image.get("height"))
    return all(isinstance(side, int | float) and side > 0 for side in sides)


def _repeated(values: Iterable) -> list:
    return [value for value, times in Counter(values).items() if times > 1]


def _image_problems(coco: CocoJson, name_key: str) -> Iterator[Problem]:
    for i, image in enumerate(coco.images):
        if "id" not in image:
            yield Problem("image without id", f"{coco.path}: image number {i} has no 'id'")
            continue
        name = image.get(name_key)
        if not name or not isinstance(name, str):
            text = f"{coco.path}: image {image['id']} has no {name_key!r}"
            text += f" but {name!r}" if name else ""
            yield Problem(f"image without {name_key}", text)
        if not _is_sized(image):
            size = f"width {image.get('width')} and height {image.get('height')}"
            text = f"{coco.path}: image {image['id']} has {size}; both must be positive"
            yield Problem("image without size", text)
    for value in _repeated(image["id"] for image in coco.images if "id" in image):
        yield Problem("repeated image id", f"{coco.path}: image id {value} is used more than once")


def _category_problems(coco: CocoJson) -> Iterator[Problem]:
    if not coco.categories:
        yield Problem("no categories", f"{coco.path} has no categories")
    for i, category in enumerate(coco.categories):
        if "id" not in category or not isinstance(category.get("name"), str):
            text = f"{coco.path}: category number {i} needs an 'id' and a 'name'"
            yield Problem("incomplete category", text)
    for value in _repeated(category.get("id") for category in coco.categories):
        text = f"{coco.path}: category id {value} is used more than once"
        yield Problem("repeated category id", text)
    names = (category.get("name") for category in coco.categories)
    for name in _repeated(name for name in names if isinstance(name, str)):
        text = f"{coco.path}: several categories have the name {name!r}, and results go by names"
        yield Problem("repeated category name", text, is_error=False)


def _annotation_problems(coco: CocoJson) -> Iterator[Problem]:
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
    for value in _repeated(a["id"] for a in coco.annotations if "id" in a):
        text = f"{coco.path}: annotation id {value} is used more than once"
        yield Problem("repeated annotation id", text)


def _four_numbers(box: object) -> list[float]:
    """The box itself, or four NaN for anything that is not four numbers."""
    if isinstance(box, list) and len(box) == 4 and all(isinstance(v, int | float) for v in box):
        return box
    return [math.nan] * 4


def _box_problems(coco: CocoJson, annotations: list[dict], images: dict) -> Iterator[Problem]:
    boxes = np.array([_four_numbers(a["bbox"]) for a in annotations], np.float64).reshape(-1, 4)
    sizes = np.array(
        [(images[a["image_id"]]["width"], images[a["image_id"]]["height"]) for a in annotations],
        np.float64,
    ).reshape(-1, 2)
    wrong = ~np.isfinite(boxes).all(1)
    if guess := guess_box_format(boxes[~wrong], sizes[~wrong]):
        text = f"{coco.path}: the boxes look like {guess}; COCO's are x, y, width, height in pixels"
        yield Problem("wrong box format", text)
        return
    inverted = (boxes[:, 2:] < 0).any(1)
    corners = np.stack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    clipped = corners.clip(0, sizes[:, None])  # [N, 2, 2]
    empty = (clipped[:, 1] <= clipped[:, 0]).any(1) & ~inverted & ~wrong
    leaving = (corners < -1).any((1, 2)) | (corners > sizes[:, None] + 1).any((1, 2))
    cases = (
        (wrong, "not four finite numbers", True),
        (inverted, "negative width or height", True),
        (empty, "no area inside its image, so it is left out", False),
        (leaving & ~empty & ~inverted & ~wrong, "leaves its image", False),
    )
    for found, fault, is_error in cases:
        for i in np.flatnonzero(found):
            text = f"{describe(coco, annotations[i])} has bbox {annotations[i]['bbox']}: {fault}"
            yield Problem(f"box: {fault}", text, is_error)


def guess_box_format(boxes: np.ndarray, sizes: np.ndarray) -> str | None:
    """Which other format the boxes of a data set seem to have; None if COCO's is possible.

    An odd box proves nothing: over a tenth must leave their images, and all fit the other format.

    Args:
        boxes: [N, 4] finite numbers as they stand in the json.
        sizes: [N, 2] width and height of each box's image.
    """
    if len(boxes) == 0:
        return None
    if boxes.max() <= 1 and boxes.min() >= 0 and boxes.any():
        return "fractions of the image size"
    first, second = boxes[:, :2], boxes[:, 2:]
    room = sizes * (1 + SLACK)
    if (first + second > room).any(1).mean() <= 0.1:
        return None
    if (second > first).all() and (second <= room).all() and (first >= 0).all():
        return "corners (x1, y1, x2, y2)"
    half = second / 2
    if (first - half >= -SLACK * sizes).all() and (first + half <= room).all():
        return "centre, width, height"
    return None


def _segmentation_problems(
    coco: CocoJson, annotations: list[dict], images: dict
) -> Iterator[Problem]:
    for annotation in annotations:
        if not (segmentation := annotation.get("segmentation")):
            continue
        image = images[annotation["image_id"]]
        if fault := _segmentation_fault(segmentation, [image["height"], image["width"]]):
            text = f"{describe(coco, annotation)} has a segmentation that is {fault}"
            yield Problem("broken segmentation", text)
        elif not has_shape(annotation):
            text = f"{describe(coco, annotation)} has no polygon of at least three points"
            yield Problem("left out: no polygon with an area", text, is_error=False)


def _segmentation_fault(segmentation: object, size: list) -> str | None:
    if isinstance(segmentation, dict):
        counts = segmentation.get("counts")
        if not isinstance(counts, list | str) or not isinstance(segmentation.get("size"), list):
            return "an RLE without counts or size"
        if segmentation["size"] != size:
            return f"an RLE of size {segmentation['size']} on an image of [height, width] {size}"
        return None
    if not isinstance(segmentation, list) or not all(isinstance(p, list) for p in segmentation):
        return "neither a list of polygons nor an RLE"
    return None
