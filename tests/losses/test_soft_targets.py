"""Losses whose target is the quality of the box: the quality focal loss by hand and against a loop
over its definition, and what holds for all of them.
"""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from hdetr_d2.losses import (
    Criterion,
    FederatedLoss,
    IoUAwareLoss,
    MatchabilityLoss,
    PositionSupervisedLoss,
    QualityFocalLoss,
)
from hdetr_d2.losses.soft_target import SoftTargetLoss
from hdetr_d2.matching import HungarianMatcher
from hdetr_d2.ops import FocalCost
from hdetr_d2.structures import (
    BACKGROUND,
    NO_LOSS,
    Group,
    GroupOutput,
    Match,
    Predictions,
    Step,
    Targets,
)


def kinds_of(loss: type[SoftTargetLoss]) -> Iterator[type[SoftTargetLoss]]:
    for kind in loss.__subclasses__():
        yield kind
        yield from kinds_of(kind)


KINDS = pytest.mark.parametrize("kind", list(kinds_of(SoftTargetLoss)))


def test_all_kinds_are_tried():
    assert {IoUAwareLoss, QualityFocalLoss, MatchabilityLoss} < set(kinds_of(SoftTargetLoss))


def loss_by_loops(logits: Tensor, labels: Tensor, quality: Tensor, beta: float) -> list[float]:
    """The definition, one logit after the other: -|y - p|^beta (y log p + (1 - y) log(1 - p))."""
    sums = []
    for layer, marks, fits in zip(logits, labels, quality, strict=True):
        total = 0.0
        rows = (layer.flatten(0, 1), marks.flatten(), fits.flatten())
        for row, label, fit in zip(*(part.tolist() for part in rows), strict=True):
            for place, logit in enumerate(row if label != NO_LOSS else []):
                p, y = 1 / (1 + math.exp(-logit)), fit if place == label else 0.0
                total -= abs(y - p) ** beta * (y * math.log(p) + (1 - y) * math.log(1 - p))
        sums.append(total)
    return sums


def test_loss_by_hand():
    # p = 1/2 everywhere: a target score of 0 or 1 costs 1/4 ln 2, one of 1/2 nothing.
    labels = torch.tensor([[[1, 2, BACKGROUND]]])
    quality = torch.tensor([[[1.0, 0.5, 0.7]]])
    loss = QualityFocalLoss()(torch.zeros(1, 1, 3, 3), labels, quality)
    assert loss.tolist() == pytest.approx([8 / 4 * math.log(2)])


@pytest.mark.parametrize("beta", [2.0, 1.5, 0.0])
def test_loss_against_loops(beta: float):
    logits, quality = 3 * torch.randn(2, 3, 5, 4), torch.rand(2, 3, 5)
    labels = torch.randint(NO_LOSS, 4, (2, 3, 5))
    expected = loss_by_loops(logits, labels, quality, beta)
    found = QualityFocalLoss(beta=beta)(logits, labels, quality)
    assert found.tolist() == pytest.approx(expected, rel=1e-5)


def test_gradients_flow_through_the_weight_of_a_score_too():
    logits = torch.randn(2, 1, 3, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[[0, BACKGROUND, NO_LOSS]], [[1, 1, BACKGROUND]]])
    quality = torch.rand(2, 1, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda each: QualityFocalLoss()(each, labels, quality), logits)


@KINDS
def test_padding_has_no_loss_whatever_it_predicts(kind: type[SoftTargetLoss]):
    logits = torch.tensor([[[[1.0], [math.nan], [math.inf]]]], requires_grad=True)
    labels = torch.tensor([[[0, NO_LOSS, NO_LOSS]]])
    quality = torch.tensor([[[0.5, math.nan, math.nan]]])
    loss = kind()(logits, labels, quality)
    expected = kind()(logits[:, :, :1], labels[..., :1], quality[..., :1])
    assert loss.tolist() == pytest.approx(expected.tolist(), rel=1e-5)
    loss.sum().backward()
    assert logits.grad.isfinite().all()


@KINDS
@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_extreme_logits_have_finite_losses_and_gradients(logit: float, kind: type[SoftTargetLoss]):
    logits = torch.full((1, 1, 2, 2), logit, requires_grad=True)
    labels, quality = torch.tensor([[[0, BACKGROUND]]]), torch.tensor([[[0.6, 0.0]]])
    loss = kind()(logits, labels, quality)
    loss.sum().backward()
    assert loss.isfinite().all() and logits.grad.isfinite().all()


@KINDS
@pytest.mark.parametrize("shape", [(2, 0, 3), (2, 3, 0)])
def test_nothing_to_learn(shape: tuple[int, int, int], kind: type[SoftTargetLoss]):
    logits = torch.zeros(*shape, 4, requires_grad=True)
    loss = kind()(logits, torch.zeros(shape, dtype=torch.int64), torch.zeros(shape))
    assert loss.tolist() == [0.0] * shape[0]
    loss.sum().backward()


@KINDS
def test_matching_keeps_the_focal_cost(kind: type[SoftTargetLoss]):
    options = {"cost_power": 0.0} if kind is PositionSupervisedLoss else {}
    loss = kind(beta=1.0, alpha=0.6, gamma=1.5, **options)
    assert loss.matching_cost == FocalCost(alpha=0.6, gamma=1.5)


@pytest.mark.parametrize("federated", [False, True])
def test_the_criterion_tells_how_well_the_boxes_fit(federated: bool):
    # The first box is half of its target: an IoU of 1/2 is what its score of 1/2 should be.
    predictions = Predictions(
        logits=torch.zeros(1, 1, 2, 1),
        boxes=torch.tensor([[[[0.4, 0.5, 0.2, 0.4], [0.9, 0.9, 0.1, 0.1]]]], requires_grad=True),
    )
    target = torch.tensor([[[0.5, 0.5, 0.4, 0.4]]])
    targets = Targets(torch.zeros(1, 1, dtype=torch.int64), target, torch.ones(1, 1).bool())
    loss = QualityFocalLoss()
    only_class = {"class": 1.0, "bbox": 0.0, "giou": 0.0}
    criterion = Criterion(
        class_loss=FederatedLoss(loss=loss, num_kept=1) if federated else loss,
        matcher=HungarianMatcher(weights=only_class),
        weights=only_class,
    )
    output = GroupOutput(Group(name="", assigner=Match((1,))), predictions, targets)
    losses = criterion(output, torch.tensor([[[0, BACKGROUND]]]), Step(torch.tensor(1.0)))
    assert losses["loss_class"].item() == pytest.approx(0.25 * math.log(2))
    sum(losses.values()).backward()
    assert not predictions.boxes.grad.any()  # the class loss does not teach boxes
