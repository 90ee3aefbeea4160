"""Suppression by hand."""

import hdetr_d2  # noqa: F401

import pytest
import torch

from hdetr_d2.projects.co_detr import SoftSuppression, Suppression

# The IoU of the first two is 3/5; the third is the second, of another class; the last is elsewhere.
BOXES = torch.tensor([[0, 0, 40, 40], [10, 0, 50, 40], [10, 0, 50, 40], [80, 80, 90, 90.0]])
SCORES = torch.tensor([0.9, 0.8, 0.5, 0.6])
LABELS = torch.tensor([1, 1, 2, 1])
SIZE = (100, 120)


def test_of_boxes_that_overlap_the_best_is_left():
    found = Suppression(iou=0.5)(BOXES, SCORES, LABELS, SIZE)
    assert found.image_size == SIZE
    assert found.pred_boxes.tensor.tolist() == BOXES[[0, 3, 2]].tolist()
    assert found.pred_classes.tolist() == [1, 1, 2]
    assert len(Suppression(iou=0.5, most=2, least_score=0.7)(BOXES, SCORES, LABELS, SIZE)) == 1


def test_of_boxes_that_overlap_the_best_lowers_the_others():
    found = SoftSuppression(iou=0.5)(BOXES, SCORES, LABELS, SIZE)
    assert found.pred_boxes.tensor.tolist() == BOXES[[0, 3, 2, 1]].tolist()
    assert found.pred_classes.tolist() == [1, 1, 2, 1]
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.6, 0.5, 0.8 * 0.4]))
    apart = SoftSuppression(iou=0.61, most=2)(BOXES, SCORES, LABELS, SIZE)
    torch.testing.assert_close(apart.scores, torch.tensor([0.9, 0.8]))


def test_what_falls_below_the_least_score_is_no_detection():
    found = SoftSuppression(iou=0.5, least_score=0.55)(BOXES, SCORES, LABELS, SIZE)
    torch.testing.assert_close(found.scores, torch.tensor([0.9, 0.6]))


@pytest.mark.parametrize("suppression", [Suppression(iou=0.5), SoftSuppression(iou=0.5)])
@pytest.mark.parametrize("score", [0.0, None])
def test_nothing_is_found(suppression, score):
    number = 0 if score is None else 4
    found = suppression(BOXES[:number], torch.zeros(number), LABELS[:number], SIZE)
    assert len(found) == 0 and found.pred_boxes.tensor.shape == (0, 4)
