"""What a teacher has found on the images of a data set, from a json of COCO's results."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from torchvision import tv_tensors

from hdetr_d2.data.sample import Sample
from hdetr_d2.errors import UserError

_KEYS = ("image_id", "category_id", "bbox", "score")


class TeacherResults:
    """The boxes of a file, by image. They go through the augmentations as the ground truth does."""

    def __init__(
        self, file: str, *, dataset: str, threshold: float = 0.3, num_boxes: int = 100
    ) -> None:
        """
        Args:
            file: a list of mappings with image_id, category_id as in the json of the data set, bbox
                (x, y, width, height in pixels) and score.
            dataset: the registered name, which knows the categories.
            threshold: scores of boxes that are taught are at least so high.
            num_boxes: of an image, the best ones.

        Raises:
            UserError: the file cannot be read, holds something else or categories that the data set
                does not have.
        """
        self.file = file
        self.num_boxes = num_boxes
        classes = MetadataCatalog.get(dataset).get("thing_dataset_id_to_contiguous_id", {})
        results = [entry for entry in _read(file) if entry["score"] >= threshold]
        unknown = sorted({entry["category_id"] for entry in results} - set(classes))
        if unknown:
            raise UserError(f"{file}: the data set {dataset!r} has no category {unknown[0]!r}")
        # In arrays: workers share them instead of copying millions of small objects.
        ids = [entry["image_id"] for entry in results]
        self._places: dict[Any, int] = {each: i for i, each in enumerate(dict.fromkeys(ids))}
        images = np.array([self._places[each] for each in ids], np.int64)
        scores = np.array([entry["score"] for entry in results], np.float32)
        order = np.lexsort((-scores, images))
        boxes = np.array([entry["bbox"] for entry in results], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([classes[entry["category_id"]] for entry in results], np.int64)
        self._boxes, self._labels, self._scores = (a[order] for a in (boxes, labels, scores))
        self._starts = np.searchsorted(images[order], np.arange(len(self._places) + 1))

    def on(self, image_id: Any, height: int, width: int) -> Sample:
        """The part of a sample that holds its boxes on an image, best first; none where it found
        nothing.
        """
        place = self._places.get(image_id)
        first, last = (0, 0) if place is None else self._starts[place : place + 2]
        rows = slice(first, min(last, first + self.num_boxes))
        boxes = torch.from_numpy(self._boxes[rows].copy())
        boxes = boxes.clamp(torch.zeros(4), torch.tensor([width, height, width, height]))
        return {
            "found_boxes": tv_tensors.BoundingBoxes(
                boxes, format="XYXY", canvas_size=(height, width)
            ),
            "found_labels": torch.from_numpy(self._labels[rows].copy()),
            "found_scores": torch.from_numpy(self._scores[rows].copy()),
        }


def _read(file: str) -> list[Mapping[str, Any]]:
    try:
        results = json.loads(Path(file).read_bytes())
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the results of a teacher in {file} cannot be read: {reason}") from error
    if not isinstance(results, list):
        raise UserError(f"{file} holds no list of results, as COCO's evaluator writes it")
    for index, entry in enumerate(results):
        if not _is_result(entry):
            raise UserError(
                f"{file}: result {index} needs image_id, category_id, a bbox of four numbers "
                "(x, y, width, height) and a score in [0, 1]"
            )
    return results


def _is_result(entry: Any) -> bool:
    if not (isinstance(entry, Mapping) and all(key in entry for key in _KEYS)):
        return False
    numbers = [*entry["bbox"], entry["score"]] if isinstance(entry["bbox"], list) else []
    if len(numbers) != 5 or not all(isinstance(each, int | float) for each in numbers):
        return False
    return bool(np.isfinite(numbers).all()) and 0 <= entry["score"] <= 1
