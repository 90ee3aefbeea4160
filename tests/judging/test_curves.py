import math

import numpy as np
import pytest

from hdetr_d2.judging import Curve
from hdetr_d2.judging.curves import shortest

# Hit, hit, miss and hit together, miss; four objects.
SCORES = np.array([0.9, 0.8, 0.5, 0.5, 0.2])
HITS = np.array([True, True, False, True, False])


def test_by_hand() -> None:
    curve = Curve.of(SCORES[::-1], HITS[::-1], 4)
    assert curve.thresholds.tolist() == [0.9, 0.8, 0.5, 0.2]
    assert curve.hits.tolist() == [1, 2, 3, 3]
    assert curve.false_alarms.tolist() == [0, 0, 1, 2]
    points = [curve.at(threshold) for threshold in curve.thresholds]
    assert [point.precision for point in points] == [1, 1, 3 / 4, 3 / 5]
    assert [point.recall for point in points] == [1 / 4, 2 / 4, 3 / 4, 3 / 4]
    assert curve.f1.tolist() == [2 / 5, 4 / 6, 6 / 8, 6 / 9]
    best = curve.best()
    assert (best.threshold, best.hits, best.false_alarms, best.misses) == (0.5, 3, 1, 1)
    assert (best.precision, best.recall, best.f1) == (3 / 4, 3 / 4, 3 / 4)


def test_every_point_counts_anew_what_lies_above() -> None:
    random = np.random.default_rng(0)
    scores, hits = random.integers(0, 30, 200) / 30, random.random(200) < 0.4
    curve = Curve.of(scores, hits, 100)
    for threshold in (0.0, 0.31, 0.5, 10 / 30, 1.0):
        point = curve.at(threshold)
        kept = hits[scores >= threshold]
        assert (point.hits, point.false_alarms) == (kept.sum(), (~kept).sum())
        assert point.misses == 100 - kept.sum()
    best = curve.best()
    assert best.f1 == max(curve.at(score).f1 for score in scores)


def test_of_equal_f1_the_highest_threshold() -> None:
    curve = Curve.of(np.array([0.9, 0.6, 0.5, 0.4]), np.array([True, False, False, True]), 2)
    assert curve.f1.tolist() == [2 / 3, 2 / 4, 2 / 5, 4 / 6]
    assert curve.best().threshold == 0.9


def test_nothing_found_or_nothing_there() -> None:
    none = np.zeros(0)
    point = Curve.of(none, none.astype(bool), 3).best()
    assert math.isnan(point.threshold) and math.isnan(point.precision)
    assert (point.recall, point.f1, point.misses) == (0, 0, 3)
    wrong = Curve.of(np.array([0.5]), np.array([False]), 0)
    assert math.isnan(wrong.best().threshold)
    assert wrong.at(0.5).precision == 0 and math.isnan(wrong.at(0.5).recall)
    assert math.isnan(Curve.of(none, none.astype(bool), 0).best().f1)


@pytest.mark.parametrize(
    ("low", "high", "number"),
    [
        (-math.inf, 0.5, 0.5),
        (0.2, 0.43187, 0.43),
        (0.43, 0.43187, 0.431),
        (0.43011, 0.43048, 0.4304),
        (0.1, math.nextafter(0.1, 1), math.nextafter(0.1, 1)),
        (-math.inf, 1e-5, 0.0),
    ],
)
def test_as_few_digits_as_can_be(low: float, high: float, number: float) -> None:
    assert shortest(low, high) == number
