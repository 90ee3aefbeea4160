"""What a teacher has found on the images of a data set, from a json of COCO's results."""

from typing import Any

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from torchvision import tv_tensors

from hdetr_d2.data.coco_results import read_results
from hdetr_d2.data.sample import Found
from hdetr_d2.errors import UserError


class TeacherResults:
    """The boxes of a file, by image. They go through the augmentations as the ground truth does."""

    def __init__(
        self, file: str, *, dataset: str, threshold: float = 0.3, num_boxes: int = 100
    ) -> None:
        """
        Args:
            file: boxes as `read_results` takes them, with the ids of the json of the data set.
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
        results = [entry for entry in read_results(file) if entry["score"] >= threshold]
        if unknown := [e["category_id"] for e in results if e["category_id"] not in classes]:
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

    def on(self, image_id: Any, height: int, width: int) -> Found:
        """Its boxes on an image, best first; none where it found
        nothing.
        """
        place = self._places.get(image_id)
        first, last = (0, 0) if place is None else self._starts[place : place + 2]
        rows = slice(first, min(last, first + self.num_boxes))
        boxes = torch.from_numpy(self._boxes[rows].copy())
        boxes = boxes.clamp(torch.zeros(4), torch.tensor([width, height, width, height]))
        return {
            "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width)),
            "labels": torch.from_numpy(self._labels[rows].copy()),
            "scores": torch.from_numpy(self._scores[rows].copy()),
        }
