"""Which detection finds which object, as COCO decides it at one overlap."""

import contextlib
import io
from dataclasses import dataclass

import numpy as np
from pycocotools.cocoeval import COCOeval

from hdetr_d2.judging.numbered import Numbered

NOBODY = -1


@dataclass(frozen=True)
class Matches:
    """The detections that count, and the objects; all numbers count from 0.

    In an image and a class the best `max_dets` detections count. By falling score each takes the
    object that it overlaps most, if no better one has. So what is true of all detections is true of
    those above any score threshold.

    Attributes:
        places: int [D], in the list of results.
        scores: float [D].
        labels: int [D], classes.
        images: int [D].
        objects: int [D], the object in the list of annotations; -1 for a false alarm.
        ignored: bool [D]: of a crowd, neither right nor wrong.
        counts: int [K], how many objects a class has, crowds left out.
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
        """bool [D]: finds an object that is no crowd."""
        return (self.objects != NOBODY) & ~self.ignored

    def by_image(self, count: int) -> list[np.ndarray]:
        """Of each of `count` images its detections, int [n], as they come."""
        order = np.argsort(self.images, kind="stable")
        ends = np.searchsorted(self.images[order], np.arange(1, count))
        return np.split(order, ends)[:count]

    @classmethod
    def of(cls, data: Numbered, *, iou: float = 0.5, max_dets: int = 100) -> "Matches":
        """
        Args:
            iou: the least overlap.
            max_dets: as many detections of an image and class count.
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
