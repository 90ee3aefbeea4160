"""Objects and detections of a data set with small numbers as ids, as evaluation requires."""

import contextlib
import io
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

from pycocotools.coco import COCO

from hdetr_d2.errors import UserError

Task = Literal["bbox", "segm"]
SHAPES: dict[Task, Literal["bbox", "segmentation"]] = {"bbox": "bbox", "segm": "segmentation"}
"""The key of what a task compares, in objects and results."""


@dataclass(frozen=True)
class Numbered:
    """Ground truth and detections. Images, classes, objects and detections are numbered from 1:
    images and classes in the order of their ids, objects and detections in list order.

    pycocotools treats an object with the id 0 as missing, so that finding it is a false alarm, and
    objects with equal ids as one.

    Attributes:
        truth: the objects.
        found: the detections.
        images: the entries of the json, in the order of the numbers.
        class_names: by class index, which is the number minus 1.
        task: what is compared: boxes or masks.
    """

    truth: COCO
    found: COCO
    images: list[dict[str, Any]]
    class_names: list[str]
    task: Task = "bbox"

    @classmethod
    def of(
        cls,
        content: Mapping[str, Any],
        results: Sequence[Mapping[str, Any]],
        task: Task = "bbox",
        *,
        source: object = "COCO results",
    ) -> "Numbered":
        """
        Args:
            content: of a COCO json: `images`, `annotations`, `categories`. A missing `iscrowd` is
                0, and a missing `area` that of the `bbox`.
            results: COCO results: `image_id`, `category_id`, `score`, and `bbox` (xywh, in pixels)
                or `segmentation` (run lengths), depending on the task.
            source: how messages refer to them.

        Raises:
            UserError: an object or a result belongs to an image or a category that the json lacks,
                or lacks what is compared; or a mask has another size than its image.
        """
        images = _sorted(content["images"])
        categories = _sorted(content["categories"])
        numbers = {
            "image_id": {image["id"]: n for n, image in enumerate(images, 1)},
            "category_id": {category["id"]: n for n, category in enumerate(categories, 1)},
        }
        _check("the ground truth: object", content["annotations"], numbers, {"bbox", SHAPES[task]})
        _check(f"{source}: result", results, numbers, {"score", SHAPES[task]})
        if task == "segm":
            _check_sizes(f"{source}: result", results, {image["id"]: image for image in images})
        truth = COCO()
        truth.dataset = {
            "images": [{**image, "id": n} for n, image in enumerate(images, 1)],
            "categories": [{**category, "id": n} for n, category in enumerate(categories, 1)],
            "annotations": [
                {**_whole(_renamed(entry, numbers)), "id": n}
                for n, entry in enumerate(content["annotations"], 1)
            ],
        }
        names = [str(category.get("name", category["id"])) for category in categories]
        compared = [_compared(entry, task) for entry in results]
        with contextlib.redirect_stdout(io.StringIO()):
            truth.createIndex()
            found = _loaded(truth, [_renamed(entry, numbers) for entry in compared])
        return cls(truth, found, images, names, task)


def _loaded(truth: COCO, results: list[dict]) -> COCO:
    if results:
        return truth.loadRes(results)
    found = COCO()  # pycocotools cannot read an empty list
    found.dataset = {**truth.dataset, "annotations": []}
    found.createIndex()
    return found


def _sorted(entries: Iterable[dict]) -> list[dict]:
    return sorted(entries, key=lambda entry: (isinstance(entry["id"], str), entry["id"]))


def _renamed(entry: Mapping[str, Any], numbers: Mapping[str, Mapping]) -> dict[str, Any]:
    return {**entry, **{key: numbers[key][entry[key]] for key in numbers}}


def _whole(entry: dict[str, Any]) -> dict[str, Any]:
    """An object with optional keys filled in."""
    area = entry["area"] if "area" in entry else entry["bbox"][2] * entry["bbox"][3]
    return {**entry, "area": area, "iscrowd": entry.get("iscrowd", 0)}


def _compared(entry: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """A copy that may be modified; without the box for masks, because pycocotools would measure
    object sizes by it.
    """
    left_out = "bbox" if task == "segm" else "segmentation"
    return {key: deepcopy(value) for key, value in entry.items() if key != left_out}


def _check(
    what: str, entries: Iterable[Mapping], numbers: Mapping[str, Mapping], keys: Iterable[str]
) -> None:
    """Checks that the `entries` have all `keys`, and refer to what exists."""
    for place, entry in enumerate(entries):
        for key, known in numbers.items():
            if entry.get(key) not in known:
                fault = f"has {key} {entry.get(key)!r}, which the ground truth has not"
                raise UserError(f"{what} {place} {fault}")
        for key in sorted(set(keys) - set(entry)):
            raise UserError(f"{what} {place} has no {key!r}")


def _check_sizes(what: str, entries: Iterable[Mapping], images: Mapping[Any, Mapping]) -> None:
    """Masks must be as large as their images: others would silently overlap nothing."""
    for place, entry in enumerate(entries):
        image, stated = images[entry["image_id"]], list(entry["segmentation"]["size"])
        size = [image.get("height", stated[0]), image.get("width", stated[1])]
        if stated != size:
            fault = f"has a mask of [height, width] {stated} on an image of {size}"
            raise UserError(f"{what} {place} {fault}")
