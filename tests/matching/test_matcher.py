"""The matcher by hand, and against a loop of single problems."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou

from hdetr_d2.losses import FocalLoss
from hdetr_d2.matching import HungarianMatcher
from hdetr_d2.structures import BACKGROUND, Group, GroupOutput, Match, Predictions, Targets
from hdetr_d2.utils.observation import Observer

WEIGHTS = {"class": 2.0, "bbox": 5.0, "giou": 2.0}
COST = FocalLoss().matching_cost


def make_matcher(
    weights: dict[str, float] = WEIGHTS,
) -> Callable[[list[GroupOutput]], list[Tensor]]:
    return partial(HungarianMatcher(weights=weights), class_cost=COST)


def make_targets(counts: list[int]) -> Targets:
    most, images = max(1, *counts), len(counts)
    boxes = torch.cat(
        [torch.rand(images, most, 2), 0.1 + 0.4 * torch.rand(images, most, 2)], dim=-1
    )
    valid = torch.arange(most) < torch.tensor(counts)[:, None]
    return Targets(torch.randint(0, 3, (images, most)), boxes * valid[..., None], valid)


def make_output(targets: Targets, capacity: tuple[int, ...], queries: int) -> GroupOutput:
    shape = (len(capacity), len(targets.labels), queries)
    predictions = Predictions(torch.randn(*shape, 3), torch.rand(*shape, 4))
    return GroupOutput(Group(name="", assigner=Match(capacity)), predictions, targets)


def cost_of_image(logits: Tensor, boxes: Tensor, labels: Tensor, truth: Tensor) -> np.ndarray:
    """`[Q, K]`, `[Q, 4]`, `[n]`, `[n, 4]` to `[n, Q]`, from the formulas as they are published."""
    p = logits.sigmoid()[:, labels]
    positive = 0.25 * (1 - p) ** 2 * -(p + 1e-8).log()
    negative = 0.75 * p**2 * -(1 - p + 1e-8).log()
    giou = generalized_box_iou(
        box_convert(boxes, "cxcywh", "xyxy"), box_convert(truth, "cxcywh", "xyxy")
    )
    cost = 2 * (positive - negative) + 5 * torch.cdist(boxes, truth, p=1) - 2 * giou
    return cost.T.double().numpy()


def solve_by_repeating(cost: np.ndarray, capacity: int) -> list[int]:
    answer = [BACKGROUND] * cost.shape[1]
    for row, query in zip(*linear_sum_assignment(np.repeat(cost, capacity, 0)), strict=True):
        answer[query] = int(row) // capacity
    return answer


def test_by_hand():
    # Both targets are of class 0 and like query 1 best; target 1 has no other choice that is near.
    boxes = torch.tensor([[[[0.1, 0.1, 0.2, 0.2], [0.5, 0.5, 0.2, 0.2], [0.9, 0.1, 0.1, 0.1]]]])
    truth = torch.tensor([[[0.4, 0.4, 0.2, 0.2], [0.6, 0.6, 0.2, 0.2]]])
    targets = Targets(torch.zeros(1, 2, dtype=torch.int64), truth, torch.ones(1, 2).bool())
    output = GroupOutput(
        Group(name="", assigner=Match((1,))), Predictions(torch.zeros(1, 1, 3, 1), boxes), targets
    )
    only_l1 = HungarianMatcher(weights={"class": 0.0, "bbox": 1.0, "giou": 0.0})
    expected = torch.tensor([[[[0.6, 0.2, 1.0], [1.0, 0.2, 1.0]]]])
    torch.testing.assert_close(only_l1.cost(output, COST), expected)
    assert only_l1([output], COST)[0].tolist() == [[[0, 1, BACKGROUND]]]


@pytest.mark.parametrize("capacity", [(1, 1), (4, 4), (3, 1), (2, 2, 1)])
def test_against_single_problems(capacity: tuple[int, ...]):
    targets = make_targets([3, 0, 5])
    output = make_output(targets, capacity, queries=13)
    (assignment,) = make_matcher()([output])
    assert assignment.shape == (len(capacity), 3, 13)
    assert assignment.dtype == torch.int64
    for layer, each in enumerate(capacity):
        for image, count in enumerate([3, 0, 5]):
            cost = cost_of_image(
                output.predictions.logits[layer, image],
                output.predictions.boxes[layer, image],
                targets.labels[image, :count],
                targets.boxes[image, :count],
            )
            assert assignment[layer, image].tolist() == solve_by_repeating(cost, each)


def test_several_groups_in_one_call_are_as_each_alone():
    targets = make_targets([2, 4])
    outputs = [
        make_output(targets, (1, 1, 1), queries=6),
        make_output(targets, (6, 6, 6), queries=20),
        make_output(targets, (2, 2, 1), queries=6),
        make_output(targets.class_agnostic(), (1,), queries=50),
    ]
    together = make_matcher()(outputs)
    for output, assignment in zip(outputs, together, strict=True):
        assert torch.equal(assignment, make_matcher()([output])[0])


@pytest.mark.parametrize("capacity", [(1, 1), (3, 1)])
@pytest.mark.parametrize("size", [7, 0])
def test_blocks_are_matched_as_each_alone(capacity: tuple[int, ...], size: int):
    targets = make_targets([3, 0, 2])
    output = make_output(targets, capacity, queries=4 * size)
    predictions = output.predictions
    parts = zip(
        predictions.logits.split(size, 2) if size else [predictions.logits] * 4,
        predictions.boxes.split(size, 2) if size else [predictions.boxes] * 4,
        strict=True,
    )
    alone = [replace(output, predictions=Predictions(*part)) for part in parts]
    output = replace(output, group=replace(output.group, blocks=4))
    assert torch.equal(make_matcher()([output])[0], torch.cat(make_matcher()(alone), 2))


def test_the_padding_of_targets_changes_nothing():
    targets = make_targets([2, 3])
    output = make_output(targets, (2,), queries=9)
    garbage = Targets(targets.labels.clone(), targets.boxes.clone(), targets.valid)
    garbage.boxes[0, 2] = math.nan
    garbage.labels[0, 2] = 2
    other = replace(output, targets=garbage)
    assert torch.equal(make_matcher()([output])[0], make_matcher()([other])[0])


@pytest.mark.parametrize(("counts", "queries"), [([0, 0], 5), ([2, 1], 0), ([4, 0], 2)])
def test_few_or_none(counts: list[int], queries: int):
    (assignment,) = make_matcher()([make_output(make_targets(counts), (1, 1), queries)])
    assert assignment.shape == (2, 2, queries)
    pairs = (assignment >= 0).sum(-1)
    assert pairs.tolist() == [[min(count, queries) for count in counts]] * 2
    assert make_matcher()([]) == []


def test_a_broken_prediction_is_matched_to_nothing():
    targets = make_targets([2, 2])
    output = make_output(targets, (1,), queries=4)
    output.predictions.boxes[0, 0, 0] = math.nan
    output.predictions.logits[0, 0, 1] = math.nan
    (assignment,) = make_matcher()([output])
    assert assignment[0, 0, :2].tolist() == [BACKGROUND, BACKGROUND]
    assert sorted(assignment[0, 0, 2:].tolist()) == [0, 1]


def test_it_is_outside_of_autograd_and_autocast():
    targets = make_targets([2, 3])
    output = make_output(targets, (1,), queries=8)
    output.predictions.boxes.requires_grad_()
    plain = make_matcher()([output])[0]
    with torch.autocast("cpu", torch.bfloat16):
        matcher = HungarianMatcher(weights=WEIGHTS)
        assert matcher.cost(output, COST).dtype == torch.float32
        assert torch.equal(plain, matcher([output], COST)[0])
    assert not plain.requires_grad


def test_weights_must_name_every_cost():
    with pytest.raises(ValueError, match=r"must name \['bbox', 'class', 'giou'\], not \['class',"):
        make_matcher({"class": 1.0, "l1": 5.0, "giou": 2.0})


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_weights_must_be_weights(value: float):
    with pytest.raises(ValueError, match="at least 0, finite and not all 0"):
        make_matcher({"class": 1.0, "bbox": value, "giou": 2.0})
    with pytest.raises(ValueError, match="not all 0"):
        make_matcher({"class": 0.0, "bbox": 0.0, "giou": 0.0})


def no_odd_query(logits: Tensor, labels: Tensor) -> Tensor:
    """A class cost of one's own: a target dislikes every other query, whatever it says."""
    cost = torch.tensor([0.0, 1e31]).repeat(logits.shape[1])[: logits.shape[1]]
    return cost.expand(*labels.shape, -1)


def test_a_class_cost_of_ones_own():
    targets = make_targets([3, 1])
    output = make_output(targets, (1, 2), queries=9)
    with Observer() as observer:
        (assignment,) = HungarianMatcher(weights=WEIGHTS)([output], no_odd_query)
    assert not (assignment[..., 1::2] >= 0).any()
    assert (assignment >= 0).sum(-1).tolist() == [[3, 1], [5, 2]]
    assert not observer.seen["matching/nonfinite/main"].any()


def test_every_group_tells_what_was_not_finite():
    targets = make_targets([2, 1])
    outputs = [make_output(targets, (1, 1), queries=4), make_output(targets, (3,), queries=6)]
    outputs[1].group.name, outputs[1].group.blocks = "one2many", 2
    outputs[0].predictions.logits[1, 0, 2:] = math.nan
    outputs[1].predictions.boxes[0, 1, 5] = math.inf
    with Observer() as observer:
        make_matcher()(outputs)
    assert {name: counts.tolist() for name, counts in observer.seen.items()} == {
        "matching/nonfinite/main": [[[0, 0, 0], [0, 0, 0]], [[4, 0, 0], [0, 0, 0]]],
        "matching/nonfinite/one2many": [[[0, 0, 0], [0, 1, 1]]],
    }
