"""Queries that learn what another network answers, beside sums over one after the other."""

import math

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou

from hdetr_d2.errors import MisfitError
from hdetr_d2.losses import ClassLoss, Criterion, FederatedLoss, FocalLoss, SoftmaxLoss
from hdetr_d2.matching import HungarianMatcher, Ranked
from hdetr_d2.structures import (
    Answered,
    Answers,
    Group,
    GroupOutput,
    Pairs,
    Predictions,
    Step,
    Targets,
    by_query,
)

WEIGHTS = {"class": 2.0, "bbox": 5.0, "giou": 3.0}
LAYERS, IMAGES, QUERIES, CLASSES = 2, 2, 3, 4


def criterion(class_loss: ClassLoss) -> Criterion:
    return Criterion(
        class_loss=class_loss, matcher=HungarianMatcher(weights=WEIGHTS), weights=WEIGHTS
    )


def boxes(*shape: int) -> Tensor:
    return torch.rand(*shape, 4) * 0.4 + 0.2


def make_answers(class_loss: ClassLoss) -> Answers:
    logits = 2 * torch.randn(IMAGES, QUERIES, class_loss.num_outputs(CLASSES))
    return Answers(
        class_loss.scores(logits), boxes(IMAGES, QUERIES), torch.rand(IMAGES, QUERIES) + 0.5
    )


def make_output(class_loss: ClassLoss, answers: Answers) -> GroupOutput:
    logits = torch.randn(LAYERS, IMAGES, QUERIES, class_loss.num_outputs(CLASSES))
    found = Predictions(
        logits.requires_grad_(), boxes(LAYERS, IMAGES, QUERIES).clone().requires_grad_()
    )
    nothing = torch.zeros(IMAGES, 1)
    targets = Targets(nothing.long(), nothing[..., None].expand(-1, -1, 4), nothing.bool())
    return GroupOutput(Group(name="d", assigner=Answered(answers), weight=0.5), found, targets)


def of_each_class(scores: list[float], said: Tensor) -> float:
    """The divergence of scores that stand each for itself."""
    given = said.sigmoid().tolist()
    return sum(
        t * math.log(t / s) + (1 - t) * math.log((1 - t) / (1 - s))
        for t, s in zip(scores, given, strict=True)
    )


def of_all_classes(scores: list[float], said: Tensor) -> float:
    """That of scores that share one with no object."""
    given = said.softmax(0).tolist()
    wanted = [*scores, 1 - sum(scores)]
    return sum(t * math.log(t / s) for t, s in zip(wanted, given, strict=True))


@pytest.mark.parametrize(
    ("class_loss", "divergence"),
    [
        (FocalLoss(), of_each_class),
        (SoftmaxLoss(), of_all_classes),
        (FederatedLoss(loss=FocalLoss(), num_kept=1), of_each_class),
    ],
)
def test_losses_are_those_by_hand(class_loss: ClassLoss, divergence) -> None:
    answers = make_answers(class_loss)
    output = make_output(class_loss, answers)
    rule = criterion(class_loss)
    (learned,) = rule.assign([output])
    losses = rule(output, learned, Step(torch.tensor(7.0), share=0.5))
    whole = float(answers.weights.sum()) / 0.5  # this is half of the step
    for layer, end in enumerate(("_0", "")):
        sums = dict.fromkeys(WEIGHTS, 0.0)
        for image in range(IMAGES):
            for query in range(QUERIES):
                weight = float(answers.weights[image, query])
                box = output.predictions.boxes[layer, image, query].detach()
                pair = torch.stack([box, answers.boxes[image, query]])
                said = output.predictions.logits[layer, image, query].detach()
                corners = box_convert(pair, "cxcywh", "xyxy")
                scores = answers.scores[image, query].tolist()
                sums["class"] += weight * divergence(scores, said)
                sums["bbox"] += weight * float((pair[0] - pair[1]).abs().sum())
                sums["giou"] += weight * (1 - float(generalized_box_iou(corners, corners)[0, 1]))
        for kind, value in sums.items():
            wanted = 0.5 * WEIGHTS[kind] * value / whole
            assert losses[f"loss_{kind}_d{end}"].item() == pytest.approx(wanted, rel=1e-4)
    sum(losses.values()).backward()
    assert output.predictions.logits.grad.abs().min() > 0
    assert (output.predictions.boxes.grad.abs().sum(-1) > 0).all()


@pytest.mark.parametrize("class_loss", [FocalLoss(), SoftmaxLoss()])
def test_who_answers_alike_has_no_loss(class_loss: ClassLoss) -> None:
    answers = make_answers(class_loss)
    output = make_output(class_loss, answers)
    logits = answers.scores.logit()
    if isinstance(class_loss, SoftmaxLoss):
        logits = torch.cat([answers.scores, 1 - answers.scores.sum(-1, True)], -1).log()
    same = Predictions(logits[None], answers.boxes[None])
    losses = criterion(class_loss).loss_answers(same, answers)
    assert losses.tolist() == [[pytest.approx(0, abs=1e-5)] * 3]
    certain = Answers(torch.eye(CLASSES)[None, :QUERIES], answers.boxes[:1], answers.weights[:1])
    losses = criterion(class_loss).loss_answers(
        Predictions(output.predictions.logits[:, :1], output.predictions.boxes[:, :1]), certain
    )
    assert losses.isfinite().all()


def test_queries_that_do_not_count_learn_nothing() -> None:
    answers = make_answers(FocalLoss())
    answers.weights[:] = 0
    output = make_output(FocalLoss(), answers)
    losses = criterion(FocalLoss())(output, answers, Step(torch.tensor(1.0)))
    assert not any(loss.detach() for loss in losses.values())


def test_answers_are_of_no_target() -> None:
    answers = make_answers(FocalLoss())
    for ask in (by_query, lambda learned: Pairs.of(learned, 1, 1)):
        with pytest.raises(ValueError, match="have no targets"):
            ask(answers)
    rule = Ranked(assigner=Answered(answers))
    with pytest.raises(ValueError, match="have no targets"):
        rule.assign(make_output(FocalLoss(), answers), torch.sigmoid, None)


def test_a_class_loss_that_cannot_learn_them_says_so() -> None:
    class Own(FocalLoss):
        divergence = ClassLoss.divergence

    with pytest.raises(MisfitError, match="Own cannot learn the scores"):
        Own().divergence(torch.zeros(1, 2), torch.zeros(1, 2))
