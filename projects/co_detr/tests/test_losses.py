"""Losses of dense heads, on numbers written by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from hdetr_d2.projects.co_detr.losses import (
    at_least_one,
    centerness,
    distribution_focal_loss,
    focal_loss,
    giou_loss,
    mean_positives,
)


def test_focal_loss_leaves_out_what_has_none():
    logits = torch.zeros(1, 3, 2)
    labels = torch.tensor([[1, -1, -2]])
    # log(2) / 4 for each, times alpha: one positive and three negatives.
    expected = math.log(2) / 4 * (0.25 + 3 * 0.75)
    assert focal_loss(logits, labels).item() == pytest.approx(expected)


def test_giou_loss_is_weighted():
    boxes = torch.tensor([[[0.0, 0, 4, 4], [0, 0, 4, 4], [0, 0, 1, 1]]])
    wanted = torch.tensor([[[0.0, 0, 4, 4], [4, 0, 8, 4], [5, 5, 9, 9]]])
    weights = torch.tensor([[1.0, 0.5, 0.0]])
    assert giou_loss(boxes, wanted, weights).item() == pytest.approx(0.5)  # 1 - 0 of touching ones


def test_centerness():
    box = torch.tensor([0.0, 0, 10, 20])
    points = torch.tensor([[5.0, 10], [2, 10], [5, 4], [2, 4]])
    expected = [1, math.sqrt(2 / 8), math.sqrt(4 / 16), math.sqrt(2 / 8 * 4 / 16)]
    assert centerness(points, box).tolist() == pytest.approx(expected)


def test_distribution_focal_loss():
    logits = torch.tensor([0.0, 1.0, 2.0, 3.0])
    shares = F.log_softmax(logits, 0).tolist()
    for wanted, lower in ((1.25, 1), (0.0, 0), (2.9, 2)):
        upper_part = wanted - lower
        expected = -(1 - upper_part) * shares[lower] - upper_part * shares[lower + 1]
        found = distribution_focal_loss(logits, torch.tensor(wanted)).item()
        assert found == pytest.approx(expected, rel=1e-5)


def test_what_losses_are_divided_by():
    assignment = torch.tensor([[0, 0, 1, -1], [-1, -2, -1, -1], [0, -1, -2, -1]])
    assert mean_positives(assignment) == 3 + 1 + 1
    assert at_least_one(torch.tensor(0.25)) == 1
    assert at_least_one(torch.tensor(7)) == 7
