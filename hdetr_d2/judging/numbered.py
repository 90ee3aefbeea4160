"""Ground truth and detections of a data set, renumbered as the evaluation requires."""

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
"""The key of the shape that a task compares, in annotations and results."""


@dataclass(frozen=True)
class Numbered:
    """Ground truth and detections. Images, classes, objects and detections are numbered from 1:
    images and classes in the order of their ids, objects and detections in the order of their
    lists.

    pycocotools treats an object with id 0 as missing, so that a detection that finds it is a false
    positive, and objects with equal ids as one.

    Attributes:
        truth: the ground truth.
        found: the detections.
        images: the image entries of the json, in the order of their numbers.
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
            content: content of a COCO json: `images`, `annotations`, `categories`. A missing
                `iscrowd` is 0, and a missing `area` that of the `bbox`.
            results: COCO results: `image_id`, `category_id`, `score`, and `bbox` (xywh, in pixels)
                or `segmentation` (run lengths), depending on the task.
            source: name of the results in error messages.

        Raises:
            UserError: an object or a result refers to an image or a category that the json lacks,
                or lacks the shape to compare; or a mask has another size than its image.
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
    """An annotation with missing optional keys filled in."""
    area = entry["area"] if "area" in entry else entry["bbox"][2] * entry["bbox"][3]
    return {**entry, "area": area, "iscrowd": entry.get("iscrowd", 0)}


def _compared(entry: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """A copy that may be modified, with only the shape to compare: given a box too, pycocotools
    would measure the object size of a mask by the box.
    """
    left_out = "bbox" if task == "segm" else "segmentation"
    return {key: deepcopy(value) for key, value in entry.items() if key != left_out}


def _check(
    what: str, entries: Iterable[Mapping], numbers: Mapping[str, Mapping], keys: Iterable[str]
) -> None:
    """Checks that all `entries` have all `keys`, and refer to existing images and categories."""
    for place, entry in enumerate(entries):
        for key, known in numbers.items():
            if entry.get(key) not in known:
                fault = f"has {key} {entry.get(key)!r}, which the ground truth has not"
                raise UserError(f"{what} {place} {fault}")
        for key in sorted(set(keys) - set(entry)):
            raise UserError(f"{what} {place} has no {key!r}")


def _check_sizes(what: str, entries: Iterable[Mapping], images: Mapping[Any, Mapping]) -> None:
    """Checks that masks are as large as their images: otherwise they would silently overlap
    nothing.
    """
    for place, entry in enumerate(entries):
        image, stated = images[entry["image_id"]], list(entry["segmentation"]["size"])
        size = [image.get("height", stated[0]), image.get("width", stated[1])]
        if stated != size:
            fault = f"has a mask of [height, width] {stated} on an image of {size}"
            raise UserError(f"{what} {place} {fault}")
