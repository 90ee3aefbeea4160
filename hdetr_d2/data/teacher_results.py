"""A teacher's detections on the images of a data set, from a json of COCO results."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from torchvision import tv_tensors

from hdetr_d2.data.coco_results import read_results
from hdetr_d2.data.sample import Found
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)

FEW = 0.5
"""A fraction of the images."""


class TeacherResults:
    """The boxes of a file, by image. They are augmented together with the ground truth."""

    def __init__(
        self, file: str, *, dataset: str, threshold: float = 0.3, num_boxes: int = 100
    ) -> None:
        """
        Args:
            file: detections as accepted by `read_results`, with the ids of the data set's json.
            dataset: registered name; provides the categories.
            threshold: minimum score.
            num_boxes: maximum number of boxes per image, the best ones.

        Raises:
            UserError: the file cannot be read, or contains something else or categories that the
                data set lacks.
        """
        self.file = file
        self.dataset = dataset
        self.threshold = threshold
        self.num_boxes = num_boxes
        classes = MetadataCatalog.get(dataset).get("thing_dataset_id_to_contiguous_id", {})
        results = [entry for entry in read_results(file) if entry["score"] >= threshold]
        if unknown := [e["category_id"] for e in results if e["category_id"] not in classes]:
            raise UserError(f"{file}: the data set {dataset!r} has no category {unknown[0]!r}")
        # In arrays, which workers share instead of copying millions of small objects.
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

    def check_images(self, image_ids: Sequence[Any]) -> None:
        """Logs how many of these images have detections; a warning if they are few.

        Raises:
            UserError: none has; the file is for other images.
        """
        known = sum(each in self._places for each in image_ids)
        if not known:
            told = f", but on {next(iter(self._places))!r}" if self._places else ""
            raise UserError(
                f"{self.file} has no box with a score of at least {self.threshold:g} on any of the "
                f"{len(image_ids)} images of the data set {self.dataset!r}, as on the image_id "
                f"{image_ids[0]!r}{told}"
            )
        share = known / len(image_ids)
        logger.log(
            logging.INFO if share >= FEW else logging.WARNING,
            "%s has boxes on %.1f%% of the %d images of the data set %r",
            self.file,
            100 * share,
            len(image_ids),
            self.dataset,
        )

    def on(self, image_id: Any, height: int, width: int) -> Found:
        """Its boxes on an image, best first; empty if it found nothing."""
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
