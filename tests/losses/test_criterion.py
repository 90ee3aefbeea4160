"""The criterion by hand, and against a loop over images, layers and queries."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou

from hdetr_d2.errors import MisfitError
from hdetr_d2.losses import Criterion, FocalLoss, PositionSupervisedLoss, is_of_last_layer
from hdetr_d2.matching import HungarianMatcher
from hdetr_d2.structures import (
    BACKGROUND,
    NO_LOSS,
    Given,
    Group,
    GroupOutput,
    Match,
    Pairs,
    Predictions,
    Step,
    Targets,
)

WEIGHTS = {"class": 2.0, "bbox": 5.0, "giou": 2.0}
ONES = {"class": 1.0, "bbox": 1.0, "giou": 1.0}


def make_criterion(weights: dict[str, float] = WEIGHTS) -> Criterion:
    matcher = HungarianMatcher(weights=WEIGHTS)
    return Criterion(class_loss=FocalLoss(), matcher=matcher, weights=weights)


def make_targets(counts: list[int], classes: int = 4) -> Targets:
    most = max(1, *counts)
    boxes = torch.cat([0.3 + 0.4 * torch.rand(2, most, 2), 0.1 + 0.3 * torch.rand(2, most, 2)], -1)
    valid = torch.arange(most) < torch.tensor(counts)[:, None]
    return Targets(torch.randint(0, classes, (2, most)), boxes, valid)


def make_predictions(layers: int, queries: int, classes: int = 4) -> Predictions:
    logits = torch.randn(layers, 2, queries, classes, requires_grad=True)
    boxes = torch.rand(layers, 2, queries, 4, requires_grad=True)
    return Predictions(logits, boxes)


def losses_by_loops(
    output: GroupOutput, assignment: Tensor, ground_truths: float
) -> dict[str, Tensor]:
    """What the losses mean, query by query, on one-hot targets."""
    predictions, targets = output.predictions, output.targets
    layers, images, queries = assignment.shape
    losses = {}
    for layer, repeats in enumerate(output.group.assigner.capacity):
        sums = {"class": torch.zeros(()), "bbox": torch.zeros(()), "giou": torch.zeros(())}
        for image in range(images):
            for query in range(queries):
                target = int(assignment[layer, image, query])
                if target == NO_LOSS:
                    continue
                logits = predictions.logits[layer, image, query]
                hot = torch.zeros_like(logits)
                if target >= 0:
                    hot[targets.labels[image, target]] = 1
                    box, truth = (
                        predictions.boxes[layer, image, query],
                        targets.boxes[image, target],
                    )
                    sums["bbox"] = sums["bbox"] + (box - truth).abs().sum()
                    pair = box_convert(torch.stack([box, truth]), "cxcywh", "xyxy")
                    sums["giou"] = sums["giou"] + 1 - generalized_box_iou(pair[:1], pair[1:])[0, 0]
                p = logits.sigmoid()
                p_t = torch.where(hot > 0, p, 1 - p)
                alpha_t = torch.where(hot > 0, 0.25, 0.75)
                sums["class"] = sums["class"] - (alpha_t * (1 - p_t) ** 2 * p_t.log()).sum()
        suffix = f"_{output.group.name}" if output.group.name else ""
        suffix += f"_{layer}" if layer < layers - 1 else ""
        for kind, value in sums.items():
            scale = output.group.weight * WEIGHTS[kind] / max(1.0, ground_truths * repeats)
            losses[f"loss_{kind}{suffix}"] = scale * value
    return losses


def test_by_hand():
    predictions = Predictions(
        logits=torch.zeros(1, 1, 2, 1),
        boxes=torch.tensor([[[[0.5, 0.5, 0.2, 0.2], [0.9, 0.9, 0.1, 0.1]]]]),
    )
    targets = Targets(
        torch.zeros(1, 1, dtype=torch.int64),
        torch.tensor([[[0.6, 0.5, 0.2, 0.2]]]),
        torch.ones(1, 1, dtype=torch.bool),
    )
    output = GroupOutput(Group(name="", assigner=Match((1,))), predictions, targets)
    assignment = torch.tensor([[[0, BACKGROUND]]])
    losses = make_criterion(ONES)(output, assignment, Step(torch.tensor(1.0)))
    # One positive and one negative at p = 1/2. The boxes share 0.1 x 0.2 of 0.3 x 0.2, no gap.
    assert losses["loss_class"].item() == pytest.approx((1 / 16 + 3 / 16) * 0.693147, rel=1e-5)
    assert losses["loss_bbox"].item() == pytest.approx(0.1, rel=1e-5)
    assert losses["loss_giou"].item() == pytest.approx(1 - 1 / 3, rel=1e-5)
    assert set(losses) == {"loss_class", "loss_bbox", "loss_giou"}


@pytest.mark.parametrize(
    ("name", "assigner", "weight"),
    [("", Match((1, 1, 1)), 1.0), ("one2many", Match((6, 2, 1)), 0.5), ("dn", None, 2.0)],
)
def test_against_loops(name: str, assigner: Match | None, weight: float):
    predictions, targets = make_predictions(3, 7), make_targets([3, 1])
    assignment = torch.randint(NO_LOSS, 3, (3, 2, 7))
    assignment[:, 1].clamp_(max=0)
    output = GroupOutput(
        Group(name=name, assigner=assigner or Given(assignment, 5), weight=weight),
        predictions,
        targets,
    )
    losses = make_criterion()(output, assignment, Step(torch.tensor(4.0)))
    expected = losses_by_loops(output, assignment, 4.0)
    assert set(losses) == set(expected)
    for key, value in losses.items():
        assert value.shape == ()
        torch.testing.assert_close(value, expected[key], msg=lambda text, key=key: f"{key}: {text}")
    inputs = (predictions.logits, predictions.boxes)
    gradients = torch.autograd.grad(sum(losses.values()), inputs)
    wanted = torch.autograd.grad(sum(expected.values()), inputs)
    for one, other in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_names_of_layers_and_groups():
    targets, assignment = make_targets([1, 1]), torch.zeros(2, 2, 3, dtype=torch.int64)
    for group, names in [
        ("", ["loss_class_0", "loss_class"]),
        ("one2many", ["loss_class_one2many_0", "loss_class_one2many"]),
    ]:
        output = GroupOutput(
            Group(name=group, assigner=Match((1, 1))), make_predictions(2, 3), targets
        )
        losses = make_criterion()(output, assignment, Step(torch.tensor(2.0)))
        assert [key for key in losses if "class" in key] == names
    output = GroupOutput(Group(name="enc", assigner=Match((1,))), make_predictions(1, 3), targets)
    losses = make_criterion()(output, assignment[:1], Step(torch.tensor(2.0)))
    assert list(losses) == ["loss_class_enc", "loss_bbox_enc", "loss_giou_enc"]


@pytest.mark.parametrize(("there", "repeats", "divisor"), [(3, 1, 3), (3, 6, 18), (0, 6, 1)])
def test_the_normaliser_counts_every_repetition_and_is_at_least_one(
    there: int, repeats: int, divisor: int
):
    output = GroupOutput(
        Group(name="", assigner=Match((repeats,))), make_predictions(1, 4), make_targets([2, 1])
    )
    assignment = torch.zeros(1, 2, 4, dtype=torch.int64)
    losses = make_criterion()(output, assignment, Step(torch.tensor(float(there))))
    once = replace(output, group=Group(name="", assigner=Match((1,))))
    whole = make_criterion()(once, assignment, Step(torch.tensor(1.0)))
    for key, value in losses.items():
        torch.testing.assert_close(value, whole[key] / divisor)


def test_a_batch_without_objects_learns_background_only():
    predictions, targets = make_predictions(2, 5), make_targets([0, 0])
    assignment = torch.full((2, 2, 5), BACKGROUND)
    output = GroupOutput(Group(name="", assigner=Match((1, 1))), predictions, targets)
    losses = make_criterion()(output, assignment, Step(torch.tensor(0.0)))
    sum(losses.values()).backward()
    assert losses["loss_class"] > 0
    for key in ("loss_bbox", "loss_giou", "loss_bbox_0", "loss_giou_0"):
        assert losses[key].item() == 0.0
    assert not predictions.boxes.grad.any()
    assert predictions.logits.grad.all()


def test_unmatched_boxes_have_no_say_even_if_they_are_broken():
    predictions, targets = make_predictions(1, 3), make_targets([1, 1])
    with torch.no_grad():
        predictions.boxes[0, 0, 1:] = torch.tensor([[float("nan")] * 4, [float("inf")] * 4])
    assignment = torch.tensor([[[0, BACKGROUND, NO_LOSS], [0, BACKGROUND, NO_LOSS]]])
    output = GroupOutput(Group(name="", assigner=Match((1,))), predictions, targets)
    losses = make_criterion()(output, assignment, Step(torch.tensor(2.0)))
    sum(losses.values()).backward()
    assert all(value.isfinite() for value in losses.values())
    assert predictions.boxes.grad.isfinite().all()
    assert not predictions.boxes.grad[0, :, 1:].any()


def test_a_perfect_prediction_has_no_box_loss():
    targets = make_targets([2, 2])
    predictions = Predictions(torch.zeros(1, 2, 2, 4), targets.boxes[None].clone())
    output = GroupOutput(Group(name="", assigner=Match((1,))), predictions, targets)
    assignment = torch.tensor([[[0, 1], [0, 1]]])
    losses = make_criterion()(output, assignment, Step(torch.tensor(4.0)))
    assert losses["loss_bbox"].item() == 0.0
    assert losses["loss_giou"].item() == pytest.approx(0.0, abs=1e-6)


def test_no_queries():
    output = GroupOutput(
        Group(name="dn", assigner=Match((1, 1))), make_predictions(2, 0), make_targets([1, 2])
    )
    empty = torch.zeros(2, 2, 0, dtype=torch.int64)
    losses = make_criterion()(output, empty, Step(torch.tensor(3.0)))
    assert {value.item() for value in losses.values()} == {0.0}
    sum(losses.values()).backward()


def test_sixteen_bit_predictions_have_float32_losses():
    predictions = make_predictions(1, 4)
    half = Predictions(predictions.logits.bfloat16(), predictions.boxes.bfloat16())
    targets, assignment = make_targets([2, 1]), torch.tensor([[[0, 1, -1, -1], [-1, -1, 0, -1]]])
    output = GroupOutput(Group(name="", assigner=Match((1,))), half, targets)
    for value in make_criterion()(output, assignment, Step(torch.tensor(3.0))).values():
        assert value.dtype == torch.float32
        assert value.isfinite()


@pytest.mark.parametrize("weights", [{"class": 1.0, "bbox": 1.0}, {**ONES, "colour": 1.0}])
def test_weights_must_name_every_loss(weights: dict[str, float]):
    with pytest.raises(ValueError, match="must name"):
        make_criterion(weights)


def test_the_losses_of_the_last_layer_are_known_by_their_names() -> None:
    last = ["loss_class", "loss_giou_enc", "loss_bbox_one2many", "loss_class_aux1"]
    assert [is_of_last_layer(name) for name in last] == [True] * 4
    others = ["loss_class_0", "loss_bbox_one2many_10", "total_loss", "time/loss", "lr"]
    assert [is_of_last_layer(name) for name in others] == [False] * 5


def test_a_loss_that_compares_queries_cannot_weigh_each() -> None:
    """Alone, every query is the best of its image, however bad its box."""
    output = GroupOutput(
        Group(name="taught", assigner=Match((1,))), make_predictions(1, 3), make_targets([1, 1])
    )
    pairs = Pairs(
        torch.zeros(1, 2, 1, 1, dtype=torch.int64),
        torch.tensor([[[0, BACKGROUND, BACKGROUND]] * 2]),
        importance=torch.ones(1, 2, 3),
    )
    step = Step.of(output.targets)
    assert all(loss.isfinite() for loss in make_criterion()(output, pairs, step).values())
    comparing = Criterion(
        class_loss=PositionSupervisedLoss(),
        matcher=HungarianMatcher(weights=WEIGHTS),
        weights=WEIGHTS,
    )
    with pytest.raises(MisfitError, match="PositionSupervisedLoss compares the queries"):
        comparing(output, pairs, step)
