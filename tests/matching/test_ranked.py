"""Ranks within a target by hand."""

import math

import pytest
import torch

from hdetr_d2.matching import Ranked, TopKByScore
from hdetr_d2.structures import (
    BACKGROUND,
    NO_LOSS,
    Given,
    Group,
    GroupOutput,
    Match,
    Predictions,
    Step,
    Targets,
)

BOX = [0.5, 0.5, 0.4, 0.4]


def make_output(ranked: Ranked) -> GroupOutput:
    """Five queries with scores of a half; the IoU with both targets falls along them."""
    targets = Targets(
        torch.zeros(1, 2, dtype=torch.int64),
        torch.tensor([[BOX, BOX]]),
        torch.ones(1, 2, dtype=torch.bool),
    )
    boxes = torch.tensor([[0.5 + 0.05 * query, *BOX[1:]] for query in range(5)])[None, None]
    predictions = Predictions(torch.zeros(1, 1, 5, 1), boxes)
    return GroupOutput(Group(name="", assigner=ranked), predictions, targets)


def test_a_given_assignment_by_hand() -> None:
    assignment = torch.tensor([[[BACKGROUND, 1, 0, 1, NO_LOSS]]])
    ranked = Ranked(assigner=Given(assignment, 3), tau=2.0)
    pairs = ranked.assign(make_output(ranked), torch.sigmoid, None)
    assert pairs.assignment is assignment
    assert pairs.queries.tolist() == [[[[2, -1, -1], [1, 3, -1]]]]
    assert pairs.weights is not None
    assert pairs.weights[0, 0, 0, 0] == 1
    assert pairs.weights[0, 0, 1, :2].tolist() == pytest.approx([1, math.exp(-0.5)])


def test_ranks_are_not_the_order_of_the_other_assigner() -> None:
    """With mix 1 the score alone ranks, and turns the order of the IoU round."""
    rule = TopKByScore(topk=3, iou_weight=1.0, cap=1.0)
    ranked = Ranked(assigner=rule, mix=1.0, tau=1.0)
    output = make_output(ranked)
    output.predictions.logits = torch.arange(5.0)[None, None, :, None]
    pairs = ranked.assign(output, torch.sigmoid, None)
    assert pairs.queries[0, 0, 0].tolist() == [0, 1, 2]
    assert pairs.weights is not None
    expected = [math.exp(-2), math.exp(-1), 1]
    assert pairs.weights[0, 0, 0].tolist() == pytest.approx(expected)
    assert torch.equal(pairs.assignment, rule.assign(output, torch.sigmoid, None).assignment)


def test_what_the_losses_are_divided_by() -> None:
    step = Step(torch.tensor(2.0))
    assert Ranked(assigner=Match((3, 1))).normaliser(step) == 2
    kept = Ranked(assigner=Match((3, 1)), normaliser_factor=None)
    assert kept.normaliser(step).tolist() == [6, 2]


@pytest.mark.parametrize("options", [{"tau": 0.0}, {"mix": 1.5}])
def test_bad_options(options: dict[str, float]) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}="):
        Ranked(assigner=Match((1,)), **options)
