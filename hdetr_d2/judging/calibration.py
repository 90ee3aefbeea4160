"""Calibration: whether scores match the fraction of correct detections."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """Detections grouped by score into bins of equal width (https://arxiv.org/abs/1706.04599).

    Attributes:
        counts: int [M], number of detections with scores in [m / M, (m + 1) / M); the last bin
            includes 1.
        scores: float [M], their mean score; nan for an empty bin.
        precisions: float [M], the fraction of them that are correct; nan for an empty bin.
    """

    counts: np.ndarray
    scores: np.ndarray
    precisions: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, hits: np.ndarray, bins: int = 10) -> "Calibration":
        """
        Args:
            scores: float [D] in [0, 1], scores of the detections that are not ignored.
            hits: bool [D], whether each is correct.
        """
        place = np.clip(scores * bins, 0, bins - 1).astype(np.int64)
        counts = np.bincount(place, minlength=bins)
        sums = [np.bincount(place, weights=each, minlength=bins) for each in (scores, hits)]
        with np.errstate(invalid="ignore"):
            return cls(counts, *(each / counts for each in sums))

    @property
    def error(self) -> float:
        """The expected calibration error: the difference between mean score and precision, averaged
        over the detections, in [0, 1]; nan without detections.
        """
        used = self.counts > 0
        if not used.any():
            return float("nan")
        distances = np.abs(self.scores - self.precisions)[used]
        return float(np.average(distances, weights=self.counts[used]))
