import math

import numpy as np
import pytest

from hdetr_d2.judging import Calibration


def test_by_hand() -> None:
    scores = np.array([0.0, 0.05, 0.5, 0.55, 0.95, 1.0])
    hits = np.array([False, True, False, True, True, True])
    found = Calibration.of(scores, hits)
    assert found.counts.tolist() == [2, 0, 0, 0, 0, 2, 0, 0, 0, 2]
    assert found.scores[[0, 5, 9]] == pytest.approx([0.025, 0.525, 0.975])
    assert found.precisions[[0, 5, 9]].tolist() == [0.5, 0.5, 1.0]
    assert np.isnan(found.scores[1]) and np.isnan(found.precisions[1])
    assert found.error == pytest.approx((0.475 + 0.025 + 0.025) / 3)


def test_scores_that_are_right_have_no_error() -> None:
    scores = np.array([0.25] * 4 + [0.75] * 4)
    hits = np.array([1, 0, 0, 0, 1, 1, 1, 0], bool)
    assert Calibration.of(scores, hits).error == 0
    assert Calibration.of(scores, ~hits, bins=2).error == 0.5


def test_nothing_found() -> None:
    found = Calibration.of(np.zeros(0), np.zeros(0, bool))
    assert found.counts.sum() == 0 and math.isnan(found.error)
