"""Which detection finds which object, by COCO's rules at a single IoU threshold."""

import contextlib
import io
from dataclasses import dataclass

import numpy as np
from pycocotools.cocoeval import COCOeval

from hdetr_d2.judging.numbered import Numbered

NOBODY = -1


@dataclass(frozen=True)
class Matches:
    """The detections that count, and the objects that they find; all indices start at 0.

    In each image and class, the best `max_dets` detections count. In order of decreasing score,
    each is matched with the object that it overlaps most, unless that is taken by a better one. The
    matching is therefore also valid for the detections above any score threshold.

    Attributes:
        places: int [D], index in the list of results.
        scores: float [D].
        labels: int [D], class indices.
        images: int [D], image indices.
        objects: int [D], index in the list of annotations; -1 for a false positive.
        ignored: bool [D]: whether it lies on a crowd, and is neither correct nor wrong.
        counts: int [K], number of objects of each class, without crowds.
    """

    places: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    images: np.ndarray
    objects: np.ndarray
    ignored: np.ndarray
    counts: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """bool [D]: whether it finds an object that is not a crowd."""
        return (self.objects != NOBODY) & ~self.ignored

    def by_image(self, count: int) -> list[np.ndarray]:
        """The detections of each of `count` images, int [n], in order."""
        order = np.argsort(self.images, kind="stable")
        ends = np.searchsorted(self.images[order], np.arange(1, count))
        return np.split(order, ends)[:count]

    @classmethod
    def of(cls, data: Numbered, *, iou: float = 0.5, max_dets: int = 100) -> "Matches":
        """
        Args:
            iou: minimum IoU of a detection with the object that it finds.
            max_dets: limit on detections per image and class.
        """
        run = COCOeval(data.truth, data.found, data.task)
        run.params.iouThrs, run.params.maxDets = np.array([iou]), [max_dets]
        run.params.areaRng, run.params.areaRngLbl = run.params.areaRng[:1], ["all"]
        with contextlib.redirect_stdout(io.StringIO()):
            run.evaluate()
        pairs = [each for each in run.evalImgs if each is not None]
        sizes = [len(each["dtIds"]) for each in pairs]
        counts = np.zeros(len(data.class_names), np.int64)
        for each in pairs:
            counts[each["category_id"] - 1] += (~np.asarray(each["gtIgnore"], bool)).sum()
        return cls(
            _joined([each["dtIds"] for each in pairs], np.int64) - 1,
            _joined([each["dtScores"] for each in pairs], np.float64),
            np.repeat([each["category_id"] - 1 for each in pairs], sizes).astype(np.int64),
            np.repeat([each["image_id"] - 1 for each in pairs], sizes).astype(np.int64),
            _joined([each["dtMatches"][0] for each in pairs], np.int64) - 1,
            _joined([each["dtIgnore"][0] for each in pairs], bool),
            counts,
        )


def _joined(parts: list, kind: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, kind), *(np.asarray(part, kind) for part in parts)])
