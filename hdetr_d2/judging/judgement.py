"""All metrics of a detector on a data set, also as a table and json."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from tabulate import tabulate

from hdetr_d2.judging.average_precision import COLUMNS, average_precision
from hdetr_d2.judging.calibration import Calibration
from hdetr_d2.judging.confusion import confusion_matrix
from hdetr_d2.judging.curves import Curve, Point
from hdetr_d2.judging.matches import Matches
from hdetr_d2.judging.numbered import Numbered

ALL = "all"
ELSE = 0.5  # the threshold if no detection is correct
HEADERS = ("class", "objects", *COLUMNS, "score from", "precision", "recall", "F1")


@dataclass(frozen=True)
class Judgement:
    """The evaluation of the detections on a data set.

    Attributes:
        data: ground truth and detections.
        matches: which detection finds which object, at an IoU of `iou`.
        averages: COCO's metrics by name, each per class and overall, float [K + 1] in [0, 1].
        iou: minimum IoU of a detection with the object that it finds.
        max_dets: limit on detections per image and class.
    """

    data: Numbered
    matches: Matches
    averages: dict[str, np.ndarray]
    iou: float
    max_dets: int

    @cached_property
    def curves(self) -> list[Curve]:
        """The curve of each class."""
        kept = ~self.matches.ignored
        labels, scores = self.matches.labels, self.matches.scores
        return [
            Curve.of(scores[of_class], self.matches.hits[of_class], int(count))
            for label, count in enumerate(self.matches.counts)
            for of_class in [kept & (labels == label)]
        ]

    @cached_property
    def curve(self) -> Curve:
        """The curve of all classes with a common threshold."""
        kept = ~self.matches.ignored
        scores, hits = self.matches.scores[kept], self.matches.hits[kept]
        return Curve.of(scores, hits, int(self.matches.counts.sum()))

    @cached_property
    def best(self) -> Point:
        """The point with the highest F1 over all classes with a common threshold."""
        return self.curve.best()

    @property
    def threshold(self) -> float:
        """The threshold of the confusion matrix and of pictures: that of `best`, or `ELSE` if no
        detection is correct.
        """
        best = self.best.threshold
        return ELSE if math.isnan(best) else best

    @cached_property
    def best_of_classes(self) -> list[Point]:
        """The point with the highest F1 of each class."""
        return [curve.best() for curve in self.curves]

    @cached_property
    def confusion(self) -> np.ndarray:
        """The confusion matrix at `threshold`, int [K + 1, K + 1], see `confusion_matrix`."""
        return confusion_matrix(self.data, self.matches, threshold=self.threshold, iou=self.iou)

    @cached_property
    def calibration(self) -> Calibration:
        """The calibration of all detections that count."""
        kept = ~self.matches.ignored
        return Calibration.of(self.matches.scores[kept], self.matches.hits[kept])

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yields a row for each class and, at the end, one for all classes: fractions in percent,
        nan if undefined.
        """
        names = [*self.data.class_names, ALL]
        points = [*self.best_of_classes, self.best]
        counts = [*self.matches.counts.tolist(), int(self.matches.counts.sum())]
        for k, (name, count, point) in enumerate(zip(names, counts, points, strict=True)):
            averages = {column: 100 * float(self.averages[column][k]) for column in COLUMNS}
            shares = (100 * point.precision, 100 * point.recall, 100 * point.f1)
            values = (name, count, *averages.values(), point.threshold, *shares)
            yield dict(zip(HEADERS, values, strict=True))

    def table(self) -> str:
        """The `rows` as a text table."""
        rows = [list(row.values()) for row in self.rows()]
        formats = ("", "", *[".1f"] * len(COLUMNS), ".15g", ".1f", ".1f", ".1f")
        return tabulate(rows, HEADERS, floatfmt=formats, disable_numparse=[0])

    def as_json(self) -> dict[str, Any]:
        """All numbers as plain data for json: fractions in percent, but scores and bins in [0,
        1].
        """
        bins = self.calibration
        rows = list(self.rows())
        return {
            "iou": self.iou,
            "max_dets": self.max_dets,
            "task": self.data.task,
            "images": len(self.data.images),
            "detections": len(self.matches.scores),
            "all": rows[-1],
            "classes": rows[:-1],
            "confusion": {
                "classes": [*self.data.class_names, None],
                "threshold": self.threshold,
                "matrix": self.confusion.tolist(),
            },
            "calibration": {
                "expected_error": 100 * bins.error,
                "counts": bins.counts.tolist(),
                "mean_scores": bins.scores.tolist(),
                "precisions": bins.precisions.tolist(),
            },
        }


def judge(data: Numbered, *, iou: float = 0.5, max_dets: int = 100) -> Judgement:
    """Evaluates the detections on a data set.

    Args:
        iou: minimum IoU of a detection with the object that it finds, for everything except COCO's
            averages, which have their own.
        max_dets: limit on detections per image and class.
    """
    matches = Matches.of(data, iou=iou, max_dets=max_dets)
    return Judgement(data, matches, average_precision(data, max_dets), iou, max_dets)
