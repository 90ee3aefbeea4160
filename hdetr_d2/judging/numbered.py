"""Objects and detections of a data set with small numbers for ids, as evaluation wants them."""

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
"""Under which key annotations and results have what a task compares."""


@dataclass(frozen=True)
class Numbered:
    """What there is and what was found; images, classes, objects and detections count from 1 there,
    in the order of their ids, and objects and detections in that of their lists.

    pycocotools takes an object with the id 0 for none at all, so that one found is a false alarm,
    and knows one object where two have the same id.

    Attributes:
        truth: the objects.
        found: the detections.
        images: the entries of the json, in the order of the numbers.
        class_names: by class index, which is the number less 1.
        task: what overlaps: boxes or masks.
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
            content: of a COCO json: `images`, `annotations` with `area`, `categories`.
            results: COCO results: `image_id`, `category_id`, `score`, and `bbox` (xywh, in pixels)
                or `segmentation` (run lengths), whichever the task compares.
            source: what a sentence calls them.

        Raises:
            UserError: a result of an image or a category that the json has not, or without what is
                compared.
        """
        if fault := _fault(content, results, task):
            raise UserError(f"{source}: {fault}")
        images = _sorted(content["images"])
        categories = _sorted(content["categories"])
        numbers = {
            "image_id": {image["id"]: n for n, image in enumerate(images, 1)},
            "category_id": {category["id"]: n for n, category in enumerate(categories, 1)},
        }
        truth = COCO()
        truth.dataset = {
            "images": [{**image, "id": n} for n, image in enumerate(images, 1)],
            "categories": [{**category, "id": n} for n, category in enumerate(categories, 1)],
            "annotations": [
                {**_renamed(entry, numbers), "id": n}
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


def _compared(entry: Mapping[str, Any], task: Task) -> dict[str, Any]:
    """A copy that may be written into; of masks without the box, by which pycocotools would else
    measure the object.
    """
    left_out = "bbox" if task == "segm" else "segmentation"
    return {key: deepcopy(value) for key, value in entry.items() if key != left_out}


def _fault(
    content: Mapping[str, Any], results: Sequence[Mapping[str, Any]], task: Task
) -> str | None:
    known = {
        "image_id": {image["id"] for image in content["images"]},
        "category_id": {category["id"] for category in content["categories"]},
    }
    for number, result in enumerate(results):
        for key, ids in known.items():
            if result.get(key) not in ids:
                return (
                    f"result {number} has {key} {result.get(key)!r}, which the ground truth has not"
                )
        if SHAPES[task] not in result or "score" not in result:
            return f"result {number} lacks {SHAPES[task]!r} or 'score'"
    return None
