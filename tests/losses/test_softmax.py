"""The softmax loss by hand and against a loop; its mean over micro-batches and blocks."""

import math

import pytest
import torch
from torch import Tensor

from hdetr_d2.losses import Criterion, FederatedLoss, FocalLoss, SoftmaxLoss
from hdetr_d2.matching import HungarianMatcher
from hdetr_d2.ops import SoftmaxCost
from hdetr_d2.structures import (
    BACKGROUND,
    NO_LOSS,
    Counted,
    Given,
    Group,
    GroupOutput,
    Match,
    Predictions,
    Step,
    Targets,
)


def mean_by_loops(logits: Tensor, labels: Tensor, no_object_weight: float) -> list[float]:
    """The weighted mean of each layer, one query after the other."""
    means = []
    for rows, classes in zip(logits.flatten(1, 2), labels.flatten(1), strict=True):
        total = weights = 0.0
        for row, label in zip(rows.tolist(), classes.tolist(), strict=True):
            if label != NO_LOSS:
                weight = no_object_weight if label == BACKGROUND else 1.0
                # The last one is that of no object, and Python counts -1 as the last, too.
                total += weight * (math.log(sum(map(math.exp, row))) - row[label])
                weights += weight
        means.append(total / weights)
    return means


def mean(loss: SoftmaxLoss, logits: Tensor, labels: Tensor) -> Tensor:
    whole = Group(name="", assigner=Match((1,) * len(labels)))
    return loss(logits, labels) / loss.normaliser(labels, whole, Step(torch.tensor(7.0)))


def test_by_hand() -> None:
    loss, labels = SoftmaxLoss(), torch.tensor([[[1, BACKGROUND, BACKGROUND]]])
    logits = torch.zeros(1, 1, 3, 4)  # 1 / 4 for each of three classes and for no object
    assert loss(logits, labels).tolist() == pytest.approx([1.2 * math.log(4)])
    assert mean(loss, logits, labels).tolist() == pytest.approx([math.log(4)])


@pytest.mark.parametrize("no_object_weight", [0.1, 1.0, 0.0])
def test_against_loops(no_object_weight: float) -> None:
    loss = SoftmaxLoss(no_object_weight=no_object_weight)
    logits, labels = 3 * torch.randn(2, 3, 5, 4), torch.randint(NO_LOSS, 3, (2, 3, 5))
    expected = mean_by_loops(logits, labels, no_object_weight)
    assert mean(loss, logits, labels).tolist() == pytest.approx(expected, rel=1e-5)


def test_padding_counts_nowhere_whatever_it_predicts() -> None:
    logits = torch.tensor([[[[1.0, 2.0], [math.nan, 0.0], [math.inf, 0.0]]]], requires_grad=True)
    labels = torch.tensor([[[0, NO_LOSS, NO_LOSS]]])
    loss = mean(SoftmaxLoss(), logits, labels)
    assert loss.tolist() == pytest.approx([math.log(1 + math.e)])
    loss.sum().backward()
    assert logits.grad is not None
    assert not logits.grad[0, 0, 1:].any()


@pytest.mark.parametrize("labels", [torch.full((2, 1, 3), NO_LOSS), torch.zeros(2, 0, 3).long()])
def test_nothing_to_learn(labels: Tensor) -> None:
    logits = torch.zeros(*labels.shape, 4, requires_grad=True)
    loss = 5 * mean(SoftmaxLoss(), logits, labels)
    assert loss.tolist() == [0.0, 0.0]
    loss.sum().backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_sixteen_bits_are_summed_in_float32() -> None:
    logits = torch.randn(1, 2, 300, 80).bfloat16()
    labels = torch.randint(BACKGROUND, 79, (1, 2, 300))
    torch.testing.assert_close(
        SoftmaxLoss()(logits, labels), SoftmaxLoss()(logits.float(), labels), rtol=0, atol=0
    )


def test_what_else_it_is_asked() -> None:
    loss = SoftmaxLoss()
    assert (loss.num_outputs(80), loss.matching_cost) == (81, SoftmaxCost())
    logits = torch.tensor([0.0, math.log(2), math.log(5)])
    assert loss.scores(logits).tolist() == pytest.approx([1 / 8, 2 / 8])
    bias = torch.ones(3)
    loss.init_bias(bias)
    assert bias.tolist() == [1, 1, 1]
    with pytest.raises(ValueError, match="no_object_weight=-1 must not be negative"):
        SoftmaxLoss(no_object_weight=-1)


def test_confidence_is_in_the_order_of_the_scores() -> None:
    logits = torch.tensor([[9.0, 0.0, 12.0], [3.0, 0.0, -9.0]])  # the first is likely no object
    for loss in (SoftmaxLoss(), FocalLoss()):
        best = [loss.confidence(logits)[:, 0].argmax(), loss.scores(logits)[:, 0].argmax()]
        assert best == [1, 1] if isinstance(loss, SoftmaxLoss) else best == [0, 0]
    sure = torch.tensor([[40.0], [50.0]])
    assert FocalLoss().scores(sure).unique().numel() == 1
    assert FederatedLoss(loss=FocalLoss()).confidence(sure).argmax() == 1


def group(labels: Tensor, blocks: int = 1) -> tuple[GroupOutput, Tensor]:
    """Two classes, and the targets whose labels the queries of one image take."""
    torch.manual_seed(1)
    logits, boxes = torch.randn(1, 1, len(labels), 3), torch.rand(1, 1, len(labels), 4)
    targets = Targets(torch.tensor([[0, 1]]), torch.rand(1, 2, 4), torch.ones(1, 2).bool())
    output = GroupOutput(
        Group(name="", assigner=Match((1,)), blocks=blocks), Predictions(logits, boxes), targets
    )
    return output, labels[None, None]


def make_criterion() -> Criterion:
    weights = {"class": 3.0, "bbox": 1.0, "giou": 1.0}
    matcher = HungarianMatcher(weights=weights)
    return Criterion(class_loss=SoftmaxLoss(), matcher=matcher, weights=weights)


def class_loss(output: GroupOutput, assignment: Tensor, share: float = 1.0) -> Tensor:
    return make_criterion()(output, assignment, Step(torch.tensor(2.0), share))["loss_class"]


def test_the_number_of_targets_does_not_matter_and_the_share_does() -> None:
    output, assignment = group(torch.tensor([0, BACKGROUND, 1]))
    expected = 3 * mean(SoftmaxLoss(), output.predictions.logits, assignment)[0]
    torch.testing.assert_close(class_loss(output, assignment), expected)
    torch.testing.assert_close(class_loss(output, assignment, share=0.25), expected / 4)


def test_matched_blocks_are_summed() -> None:
    output, assignment = group(torch.tensor([0, BACKGROUND, 1, 1, 0, BACKGROUND]), blocks=2)
    logits = output.predictions.logits.split(3, 2)
    labels = assignment.split(3, 2)
    means = [mean(SoftmaxLoss(), *block)[0] for block in zip(logits, labels, strict=True)]
    torch.testing.assert_close(class_loss(output, assignment), 3 * sum(means))


@pytest.mark.parametrize("blocks", [1, 5, 100])
def test_blocks_that_know_their_targets_are_averaged(blocks: int) -> None:
    """Denoising: as many copies as one likes, one loss."""
    one, row = group(torch.tensor([0, BACKGROUND, 1]))
    expected = 3 * mean(SoftmaxLoss(), one.predictions.logits, row)[0]
    logits, boxes = (
        x.repeat(1, 1, blocks, 1) for x in (one.predictions.logits, torch.rand(1, 1, 3, 4))
    )
    copies = row.repeat(1, 1, blocks)
    for assigner in (Given(copies, repeats=blocks), Counted(copies)):
        output = GroupOutput(
            Group(name="dn", assigner=assigner, blocks=blocks),
            Predictions(logits, boxes),
            one.targets,
        )
        loss = make_criterion()(output, copies, Step(torch.tensor(2.0), 0.5))["loss_class_dn"]
        torch.testing.assert_close(loss, expected / 2)
