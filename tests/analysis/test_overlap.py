"""IoF and IoB of maps whose pixels can be counted."""

import pytest
import torch

from hdetr_d2.analysis import Overlap, foreground_of, overlap
from hdetr_d2.analysis.overlap import THRESHOLDS

SCORES = torch.tensor([[0.0, 0.5, 1.0], [0.25, 0.5, 0.0]])
OBJECTS = torch.tensor([[False, True, True], [False, False, False]])


def test_pixels_counted_by_hand() -> None:
    # Objects have 0.5 and 1, the background 0, 0.25, 0.5 and 0.
    curve = overlap(SCORES, OBJECTS, (-1.0, 0.0, 0.25, 0.5, 1.0))
    assert curve.iof.tolist() == [1, 1, 1, 0.5, 0]
    assert curve.iob.tolist() == [0, 0.5, 0.75, 1, 1]
    # From (0.75, 1) the curve falls to (1, 0.5).
    assert curve.area == pytest.approx(1 - 0.25 * 0.5 / 2)
    assert curve.iof_at(0.875) == pytest.approx(0.75)
    assert curve.iof_at(0) == 1
    assert curve.iof_at(1) == 0.5


def test_the_best_and_the_worst_map_and_one_that_knows_nothing() -> None:
    best, worst = (overlap(mask.float(), OBJECTS) for mask in (OBJECTS, ~OBJECTS))
    assert (best.area, worst.area) == (1, 0)
    assert (best.iof_at(0.8), worst.iof_at(0.8)) == (1, 0)
    level = overlap(torch.full((2, 3), 0.3), OBJECTS)
    assert level.area == 0.5
    assert level.iof_at(0.8) == pytest.approx(0.2)


def test_every_curve_goes_from_all_objects_to_all_background() -> None:
    curve = overlap(torch.rand(20, 30), torch.rand(20, 30) > 0.7)
    assert (curve.iof[0], curve.iob[0], curve.iof[-1], curve.iob[-1]) == (1, 0, 0, 1)
    assert len(curve.iof) == len(THRESHOLDS)
    assert (curve.iof.diff() <= 0).all() and (curve.iob.diff() >= 0).all()
    assert curve.area == pytest.approx(0.5, abs=0.1)


def test_without_objects_or_without_background_there_is_no_curve() -> None:
    assert overlap(SCORES, torch.zeros_like(OBJECTS)) is None
    assert overlap(SCORES, torch.ones_like(OBJECTS)) is None


def test_the_mean_is_taken_threshold_by_threshold() -> None:
    rows = [torch.tensor(values, dtype=torch.float64) for values in ([1, 0], [0, 1], [1, 0.5])]
    mean = Overlap.mean([Overlap(rows[0], rows[1]), Overlap(rows[2], rows[1])])
    assert (mean.iof.tolist(), mean.iob.tolist()) == ([1, 0.25], [0, 1])


def test_pixels_with_their_centres_in_a_box_are_foreground() -> None:
    boxes = torch.tensor([[0.6, 0.0, 2.5, 1.0], [3.0, 1.0, 9.0, 2.0]])
    assert foreground_of(boxes, (2, 4)).int().tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]
    assert not foreground_of(boxes[:0], (2, 4)).any()
