"""The drop-in matchers against the published steps, written down once more with SciPy."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou

from hdetr_d2.matching.drop_in import (
    DeformableDetrMatcher,
    DetrexMatcher,
    DetrMatcher,
    Matcher,
    RtDetrMatcher,
)
from hdetr_d2.ops import FocalCost, SoftmaxCost

WEIGHTS = dict(cost_class=2.0, cost_bbox=5.0, cost_giou=2.0)
SOFTMAX = [DetrMatcher(**WEIGHTS), DetrexMatcher(**WEIGHTS, cost_class_type="ce_cost")]
FOCAL = [DeformableDetrMatcher(**WEIGHTS), DetrexMatcher(**WEIGHTS)]


def make_outputs(images: int, queries: int, classes: int = 7) -> dict[str, Any]:
    boxes = torch.cat([torch.rand(images, queries, 2), 0.5 * torch.rand(images, queries, 2)], -1)
    logits = 3 * torch.randn(images, queries, classes)
    return {"pred_logits": logits, "pred_boxes": boxes, "aux_outputs": []}


def make_targets(counts: list[int]) -> list[dict[str, Tensor]]:
    return [
        {
            "labels": torch.randint(7, (count,)),
            "boxes": torch.cat([torch.rand(count, 2), 0.5 * torch.rand(count, 2)], -1),
            "image_id": torch.tensor(index),
        }
        for index, count in enumerate(counts)
    ]


def focal(logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    p = logits.sigmoid()
    there = alpha * (1 - p) ** gamma * -(p + 1e-8).log()
    absent = (1 - alpha) * p**gamma * -(1 - p + 1e-8).log()
    return (there - absent)[:, labels]


def softmax(logits: Tensor, labels: Tensor) -> Tensor:
    return -logits.softmax(-1)[:, labels]


def one_by_one(outputs: dict, targets: list, class_cost: Any) -> list[tuple[list, list]]:
    """Image by image, from the published formulas."""
    answers = []
    for logits, boxes, target in zip(
        outputs["pred_logits"], outputs["pred_boxes"], targets, strict=True
    ):
        corners = [box_convert(each, "cxcywh", "xyxy") for each in (boxes, target["boxes"])]
        cost = 2 * class_cost(logits, target["labels"])
        cost += 5 * torch.cdist(boxes, target["boxes"], p=1) - 2 * generalized_box_iou(*corners)
        rows, columns = linear_sum_assignment(cost.numpy())
        answers.append((rows.tolist(), columns.tolist()))
    return answers


@pytest.mark.parametrize(
    ("matcher", "class_cost"),
    [(each, softmax) for each in SOFTMAX] + [(each, focal) for each in FOCAL],
)
@pytest.mark.parametrize(
    ("counts", "queries"), [([3, 0, 12, 1], 40), ([0, 0], 5), ([30], 11), ([2, 1], 0), ([1], 1)]
)
def test_the_pairs_and_their_order(
    matcher: Matcher, class_cost: Any, counts: list[int], queries: int
) -> None:
    outputs, targets = make_outputs(len(counts), queries), make_targets(counts)
    answers = matcher(outputs, targets)
    assert [(i.tolist(), j.tolist()) for i, j in answers] == one_by_one(
        outputs, targets, class_cost
    )
    assert all(index.dtype == torch.int64 for pair in answers for index in pair)
    assert all(index.device.type == "cpu" for pair in answers for index in pair)


def test_the_class_costs() -> None:
    assert [matcher.class_cost for matcher in SOFTMAX] == [SoftmaxCost()] * 2
    assert [matcher.class_cost for matcher in FOCAL] == [FocalCost(0.25, 2.0)] * 2
    other = DetrexMatcher(alpha=0.5, gamma=1.5)
    assert other.class_cost == FocalCost(0.5, 1.5)
    assert (other.cost_class, other.cost_bbox, other.cost_giou) == (1, 1, 1)


@pytest.mark.parametrize(("use_focal_loss", "cost"), [(True, focal), (False, softmax)])
def test_the_matcher_of_rt_detr(use_focal_loss: bool, cost: Any) -> None:
    matcher = RtDetrMatcher(weight_dict=WEIGHTS, use_focal_loss=use_focal_loss)
    outputs, targets = make_outputs(3, 40), make_targets([3, 0, 12])
    answer = matcher(outputs, targets)
    assert answer.keys() == {"indices"}
    pairs = [(i.tolist(), j.tolist()) for i, j in answer["indices"]]
    assert pairs == one_by_one(outputs, targets, cost)
    other = RtDetrMatcher(WEIGHTS, True, alpha=0.5, gamma=1.5)
    assert other.class_cost == FocalCost(0.5, 1.5)


@pytest.mark.parametrize("use_focal_loss", [True, False])
def test_the_matcher_of_rt_detr_in_transformers(use_focal_loss: bool) -> None:
    theirs = pytest.importorskip("transformers.loss.loss_rt_detr").RTDetrHungarianMatcher(
        SimpleNamespace(
            matcher_class_cost=WEIGHTS["cost_class"],
            matcher_bbox_cost=WEIGHTS["cost_bbox"],
            matcher_giou_cost=WEIGHTS["cost_giou"],
            use_focal_loss=use_focal_loss,
            matcher_alpha=0.25,
            matcher_gamma=2.0,
        )
    )
    outputs, targets = make_outputs(3, 40), make_targets([3, 0, 12])
    ours = RtDetrMatcher(weight_dict=WEIGHTS, use_focal_loss=use_focal_loss)(outputs, targets)
    expected = theirs(
        {"logits": outputs["pred_logits"], "pred_boxes": outputs["pred_boxes"]},
        [{"class_labels": each["labels"], "boxes": each["boxes"]} for each in targets],
    )
    assert [(i.tolist(), j.tolist()) for i, j in ours["indices"]] == [
        (i.tolist(), j.tolist()) for i, j in expected
    ]


def test_it_is_outside_of_autograd_and_takes_sixteen_bits() -> None:
    outputs, targets = make_outputs(2, 9), make_targets([2, 4])
    plain = FOCAL[0](outputs, targets)
    outputs["pred_logits"] = outputs["pred_logits"].requires_grad_().bfloat16()
    assert [i.shape for i, _ in FOCAL[0](outputs, targets)] == [i.shape for i, _ in plain]


def test_no_image() -> None:
    assert FOCAL[0](make_outputs(0, 4), []) == []


def test_a_cost_that_is_not_finite_is_named() -> None:
    outputs, targets = make_outputs(2, 9), make_targets([2, 4])
    outputs["pred_boxes"][1, 3, 2] = math.nan
    with pytest.raises(
        ValueError, match="^Image 1 of the batch has L1 and GIoU costs that are not"
    ):
        SOFTMAX[0](outputs, targets)


def test_options_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="all 0"):
        DetrMatcher(0, 0, 0)
    with pytest.raises(ValueError, match=r"'focal' is none of \['focal_loss_cost', 'ce_cost'\]"):
        DetrexMatcher(cost_class_type="focal")


def test_targets_that_do_not_fit_are_refused() -> None:
    """Padding would hide a missing label or box, and two images would share one's targets."""
    matcher, outputs = DeformableDetrMatcher(), make_outputs(2, 6)
    fits = make_targets([3, 1])
    matcher(outputs, fits)
    for counts in ([2], [1, 2, 3]):
        wanted = f"outputs of 2 images, but targets of {len(counts)}"
        with pytest.raises(ValueError, match=wanted):
            matcher(outputs, make_targets(counts))
    for key, sentence in (("labels", "1 labels, but 3 boxes"), ("boxes", "3 labels, but 1 boxes")):
        targets = [{**fits[0], key: fits[0][key][:1]}, fits[1]]
        with pytest.raises(ValueError, match=f"Image 0 of the batch has {sentence}"):
            matcher(outputs, targets)
