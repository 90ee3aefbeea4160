"""Teach-DETR's second truth, beside losses and matchings computed one by one."""

from dataclasses import replace

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch.nn.functional import binary_cross_entropy_with_logits

from hdetr_d2.losses import Criterion, FocalLoss
from hdetr_d2.matching import HungarianMatcher
from hdetr_d2.ops import box_cxcywh_to_xyxy, generalized_box_iou
from hdetr_d2.schemes import TeachDETR
from hdetr_d2.schemes.teach_detr import Taught
from hdetr_d2.structures import FurtherTask, GroupOutput, Lesson, Predictions, Step, Targets
from hdetr_d2.teachers import CarriedBoxes

WEIGHTS = {"class": 2.0, "bbox": 5.0, "giou": 2.0}
LAYERS, IMAGES, QUERIES, CLASSES = 2, 3, 6, 3
COUNTS = (2, 0, 3)


@pytest.fixture
def criterion() -> Criterion:
    # Old focal alpha and gamma are the defaults of both sides.
    return Criterion(
        class_loss=FocalLoss(), matcher=HungarianMatcher(weights=WEIGHTS), weights=WEIGHTS
    )


def lesson_of(counts: tuple[int, ...]) -> Lesson:
    most = max(1, *counts)
    valid = torch.arange(most) < torch.tensor(counts)[:, None]
    boxes = torch.rand(len(counts), most, 4) * 0.4 + 0.1
    labels = torch.randint(CLASSES, valid.shape) * valid
    scores = torch.linspace(0.9, 0.3, most).expand(valid.shape) * valid
    return Lesson(Targets(labels, boxes * valid[..., None], valid), scores)


def predictions() -> Predictions:
    logits = torch.randn(LAYERS, IMAGES, QUERIES, CLASSES, requires_grad=True)
    boxes = torch.rand(LAYERS, IMAGES, QUERIES, 4) * 0.4 + 0.1
    return Predictions(logits, boxes.requires_grad_())


def by_hand(found: Predictions, lesson: Lesson, background: float) -> dict[str, torch.Tensor]:
    """Sums over one layer after the other, image by image, pair by pair."""
    totals = {name: [] for name in WEIGHTS}
    for layer in range(LAYERS):
        sums = {name: torch.zeros(()) for name in WEIGHTS}
        for image in range(IMAGES):
            n = int(lesson.targets.counts[image])
            logits, boxes = found.logits[layer, image], found.boxes[layer, image]
            labels, truth = lesson.targets.labels[image, :n], lesson.targets.boxes[image, :n]
            p = logits.sigmoid()
            positive = 0.25 * (1 - p) ** 2 * -(p + 1e-8).log()
            negative = 0.75 * p**2 * -(1 - p + 1e-8).log()
            giou = generalized_box_iou(
                box_cxcywh_to_xyxy(boxes)[:, None], box_cxcywh_to_xyxy(truth)[None]
            )
            cost = 2 * (positive - negative)[:, labels] + 5 * torch.cdist(boxes, truth, p=1)
            rows, columns = linear_sum_assignment((cost - 2 * giou).detach().numpy())
            target, weight = torch.zeros(QUERIES, CLASSES), torch.full((QUERIES,), background)
            for row, column in zip(rows, columns, strict=True):
                score = lesson.scores[image, column]
                target[row, labels[column]], weight[row] = 1.0, score
                sums["bbox"] = sums["bbox"] + score * (boxes[row] - truth[column]).abs().sum()
                sums["giou"] = sums["giou"] + score * (1 - giou[row, column])
            ce = binary_cross_entropy_with_logits(logits, target, reduction="none")
            right = target * p + (1 - target) * (1 - p)
            alpha = target * 0.25 + (1 - target) * 0.75
            sums["class"] = sums["class"] + (alpha * (1 - right) ** 2 * ce * weight[:, None]).sum()
        for name, value in sums.items():
            totals[name].append(value * WEIGHTS[name] / max(1, int(lesson.targets.counts.sum())))
    return {name: torch.stack(values) for name, values in totals.items()}


@pytest.mark.parametrize("counts", [COUNTS, (0, 0, 0)])
def test_losses_and_gradients_are_those_by_hand(
    criterion: Criterion, counts: tuple[int, ...]
) -> None:
    found, lesson = predictions(), lesson_of(counts)
    task = FurtherTask(
        name="t", assigner=Taught((1,) * LAYERS, lesson, 0.5), targets=lesson.targets
    )
    output = GroupOutput(task, found, lesson.targets)
    (learned,) = criterion.assign([output])
    losses = criterion(output, learned, Step(torch.tensor(7.0)))
    wanted = by_hand(found, lesson, 0.5)
    for name, values in wanted.items():
        given = torch.stack([losses[f"loss_{name}_t_0"], losses[f"loss_{name}_t"]])
        torch.testing.assert_close(given, values)
    inputs = [found.logits, found.boxes]
    sides = [
        torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True)
        for total in (sum(losses.values()), sum(values.sum() for values in wanted.values()))
    ]
    torch.testing.assert_close(*sides)


def test_half_a_step_has_half_of_the_boxes() -> None:
    taught = Taught((1,), lesson_of(COUNTS), 0.5)
    step = Step(torch.tensor(7.0), share=0.5)
    assert float(taught.normaliser(step)) == 10.0


def test_targets_of_two_kinds_are_matched_each_by_itself(criterion: Criterion) -> None:
    found, one, two = predictions(), lesson_of(COUNTS), lesson_of((1, 4, 0))
    outputs = [
        GroupOutput(
            FurtherTask(name=name, assigner=Taught((1,) * LAYERS, lesson, 0.5)),
            found,
            lesson.targets,
        )
        for name, lesson in (("a", one), ("b", two), ("c", one))
    ]
    together = criterion.assign(outputs)
    alone = [criterion.assign([output])[0] for output in outputs]
    for first, second in zip(together, alone, strict=True):
        assert torch.equal(first.assignment, second.assignment)
    pairs = [(learned.assignment >= 0).sum((0, 2)).tolist() for learned in together]
    assert pairs == [[4, 0, 6], [2, 8, 0], [4, 0, 6]]


def test_the_losses_of_the_truth_stay(tiny_model, make_batch) -> None:
    plain = tiny_model(schemes=[])
    scheme = {"_target_": TeachDETR, "num_classes": 3, "weight": 0.5}
    taught = tiny_model(schemes=[{**scheme, "teacher": {"_target_": CarriedBoxes}}])
    assert set(taught.state_dict()) == set(plain.state_dict())
    taught.load_state_dict(plain.state_dict())
    batch = make_batch([3, 1])
    before, losses = plain(batch), taught(batch)
    assert {name: losses[name] for name in before} == before
    assert {name for name in losses if name.endswith("_teacher")} == set(losses) - set(before) - {
        name for name in losses if "_teacher_" in name
    }
    # One image has no box of the teacher, and then none has.
    without = taught(make_batch([1, 1]))
    assert without["loss_bbox_teacher"] == without["loss_giou_teacher"] == 0
    assert without["loss_class_teacher"] > 0


def test_its_weight_is_its_own_whatever_part_the_main_group_has(
    tiny_model, make_batch, small_schemes
) -> None:
    alone = tiny_model(schemes=[small_schemes["teach_detr"]])
    among = tiny_model(schemes=[small_schemes["group_detr"], small_schemes["teach_detr"]])
    among.load_state_dict(alone.state_dict(), strict=False)
    batch = make_batch([3, 1])
    one, other = alone(batch), among(batch)
    assert other["loss_bbox"] < 0.1 * one["loss_bbox"]  # one group of eleven
    for name in (name for name in one if "_teacher" in name):
        torch.testing.assert_close(other[name], one[name])


def test_weights_of_scores_are_not_used_twice() -> None:
    found, lesson = predictions(), lesson_of(COUNTS)

    class Told(FocalLoss):
        def forward(self, logits, labels, quality=None, weights=None):
            assert weights is None
            return super().forward(logits, labels, quality)

    criterion = Criterion(
        class_loss=Told(), matcher=HungarianMatcher(weights=WEIGHTS), weights=WEIGHTS
    )
    taught = Taught((1,) * LAYERS, lesson, 1.0)
    whole = replace(lesson, scores=lesson.targets.valid.float())
    outputs = [
        GroupOutput(FurtherTask(name="t", assigner=each), found, lesson.targets)
        for each in (taught, replace(taught, lesson=whole))
    ]
    weighed, plain = (
        criterion(output, learned, Step(torch.tensor(1.0)))["loss_class_t"]
        for output, learned in zip(outputs, criterion.assign(outputs), strict=True)
    )
    assert weighed < plain
