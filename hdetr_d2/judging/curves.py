"""True and false positives at each score threshold, and the best threshold."""

import math
from dataclasses import dataclass

import numpy as np

NAN = float("nan")


@dataclass(frozen=True)
class Point:
    """The counts for detections with a score of at least `threshold`, which is nan if there is no
    meaningful threshold.

    hits: true positives. false_alarms: false positives. misses: objects that none of the detections
    finds.
    """

    threshold: float
    hits: int
    false_alarms: int
    misses: int

    @property
    def precision(self) -> float:
        """In [0, 1]; nan without detections."""
        return _ratio(self.hits, self.hits + self.false_alarms)

    @property
    def recall(self) -> float:
        """In [0, 1]; nan without objects."""
        return _ratio(self.hits, self.hits + self.misses)

    @property
    def f1(self) -> float:
        """In [0, 1]; nan if there are neither detections nor objects."""
        return _ratio(2 * self.hits, 2 * self.hits + self.false_alarms + self.misses)


@dataclass(frozen=True)
class Curve:
    """The counts for every threshold that makes a difference.

    Attributes:
        thresholds: float [T], decreasing: all scores that occur. Detections with equal scores are
            counted together.
        hits, false_alarms: int [T], true and false positives with at least that score.
        objects: number of objects to find.
    """

    thresholds: np.ndarray
    hits: np.ndarray
    false_alarms: np.ndarray
    objects: int

    @classmethod
    def of(cls, scores: np.ndarray, hits: np.ndarray, objects: int) -> "Curve":
        """
        Args:
            scores: float [D], scores of the detections that are not ignored.
            hits: bool [D], whether each is correct.
            objects: number of objects to find.
        """
        thresholds, place = np.unique(-scores, return_inverse=True)
        found = np.bincount(place, weights=hits, minlength=len(thresholds)).cumsum()
        kept = np.bincount(place, minlength=len(thresholds)).cumsum()
        found = found.astype(np.int64)
        return cls(-thresholds, found, kept - found, objects)

    @property
    def f1(self) -> np.ndarray:
        """F1 at each threshold, float [T] in [0, 1]."""
        return 2 * self.hits / (self.hits + self.false_alarms + self.objects)

    def at(self, threshold: float) -> Point:
        """The counts for scores of at least `threshold`."""
        kept = int((self.thresholds >= threshold).sum())
        if not kept:
            return Point(threshold, 0, 0, self.objects)
        hits = int(self.hits[kept - 1])
        return Point(threshold, hits, int(self.false_alarms[kept - 1]), self.objects - hits)

    def best(self) -> Point:
        """The point with the highest F1, and the highest threshold if there are several, rounded to
        the fewest digits that select the same detections. The threshold is nan if no detection is
        correct.
        """
        if not self.hits.any():
            return Point(NAN, 0, 0, self.objects)
        place = int(self.f1.argmax())
        below = self.thresholds[place + 1] if place + 1 < len(self.thresholds) else -math.inf
        return self.at(shortest(float(below), float(self.thresholds[place])))


def shortest(low: float, high: float) -> float:
    """The number in (low, high] with the fewest decimals, but at least two."""
    for digits in range(2, 16):
        number = math.floor(high * 10**digits) / 10**digits
        if low < number <= high:
            return number
    return high


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else NAN
