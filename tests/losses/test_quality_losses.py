"""Losses and matching costs that ask how well boxes fit: by hand, and against what the released
code of DEIM, RT-DETR, Stable-DINO and Rank-DETR recorded.
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from torch import Tensor

from hdetr_d2.losses import (
    ClassLoss,
    Criterion,
    GIoUAwareLoss,
    MatchabilityLoss,
    PositionSupervisedLoss,
    VarifocalLoss,
)
from hdetr_d2.matching import HighOrderMatcher, HungarianMatcher
from hdetr_d2.ops import box_cxcywh_to_xyxy, box_iou, generalized_box_iou
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

CONFIGS = Path(__file__).parents[2] / "configs"
ARRAYS = np.load(Path(__file__).with_name("quality_losses.npz"))
FIGURES = json.loads(Path(__file__).with_name("quality_losses.json").read_text(encoding="utf-8"))
WEIGHTS = {"class": 2.0, "bbox": 5.0, "giou": 2.0}
# Of each source: name of its figure and gradient, and the loss.
LOSSES = {
    "deim_mal_vfl": [
        ("mal_gamma1.5_alphaNone", MatchabilityLoss()),
        ("mal_gamma2.0_alphaNone", MatchabilityLoss(beta=2.0)),
        ("mal_gamma1.5_alpha0.5", MatchabilityLoss(negative_weight=0.5)),
        ("vfl_deim_alpha0.75_gamma2", VarifocalLoss()),
    ],
    "stable_dino": [("loss_class", PositionSupervisedLoss())],
    "rank_detr": [("giou_aware", GIoUAwareLoss())],
}
LAST = 90000  # iterations of a recorded training


def cases(*sources: str) -> list[str]:
    return [name for name in FIGURES if name.split(".")[0] in sources]


def recorded(case: str, name: str) -> Tensor:
    return torch.from_numpy(ARRAYS[f"{case}.{name}"])


def targets_of(case: str) -> Targets:
    images = range(len(recorded(case, "logits")))
    labels = [recorded(case, f"tgt{image}_labels").long() for image in images]
    boxes = [recorded(case, f"tgt{image}_boxes") for image in images]
    most = max(map(len, labels))
    valid = torch.arange(most) < torch.tensor([len(each) for each in labels])[:, None]
    return Targets(
        torch.stack([torch.nn.functional.pad(x, (0, most - len(x))) for x in labels]),
        torch.stack([torch.nn.functional.pad(x, (0, 0, 0, most - len(x))) for x in boxes]),
        valid,
    )


def output_of(case: str) -> GroupOutput:
    logits, boxes = recorded(case, "logits")[None], recorded(case, "boxes")[None]
    group = Group(name="", assigner=Match((1,)))
    return GroupOutput(group, Predictions(logits, boxes), targets_of(case))


def placed(boxes: Tensor, targets: Tensor) -> SimpleNamespace:
    """Of `Tensor[..., 4]` xyxy each."""
    return SimpleNamespace(iou=box_iou(boxes, targets), giou=generalized_box_iou(boxes, targets))


def labels_and_quality(case: str, loss: ClassLoss) -> tuple[Tensor, Tensor]:
    """Of the recorded pairs."""
    boxes = box_cxcywh_to_xyxy(recorded(case, "boxes"))
    labels = torch.full((1, *boxes.shape[:2]), BACKGROUND)
    quality = torch.zeros(labels.shape)
    for image in range(len(boxes)):
        query, target = (recorded(case, f"match{image}_{end}") for end in ("query", "target"))
        wanted = box_cxcywh_to_xyxy(recorded(case, f"tgt{image}_boxes")[target])
        labels[0, image, query] = recorded(case, f"tgt{image}_labels")[target].long()
        quality[0, image, query] = loss.quality(placed(boxes[image, query], wanted))
    return labels, quality


@pytest.mark.parametrize(
    ("case", "name", "loss"),
    [
        pytest.param(case, name, loss, id=f"{case}-{name}")
        for source, losses in LOSSES.items()
        for case in cases(source)
        for name, loss in losses
    ],
)
def test_loss_as_recorded(case: str, name: str, loss: ClassLoss):
    logits = recorded(case, "logits")[None].requires_grad_()
    found = loss(logits, *labels_and_quality(case, loss)) / FIGURES[case]["num_boxes"]
    assert found.item() == pytest.approx(FIGURES[case][name], rel=1e-4)
    (gradient,) = torch.autograd.grad(found.sum(), logits)
    expected = recorded(case, f"grad_{name}_logits")[None]
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-5)


def told_apart(case: str, image: int) -> Tensor:
    """The targets whose label no later one of the image has: in Stable-DINO's code targets of one
    label share a place in a table, and the last one's overlaps stand there for all.
    """
    labels = recorded(case, f"tgt{image}_labels").tolist()
    if not case.startswith("stable_dino") or case.endswith("beta_off"):
        return torch.arange(len(labels))
    return torch.tensor([i for i, x in enumerate(labels) if x not in labels[i + 1 :]]).long()


# In this one the best overlap of the image is that of a target whose place another has.
RECORDED_COSTS = sorted({*cases("stable_dino", "rank_detr")} - {"stable_dino.one_empty"})


@pytest.mark.parametrize("case", RECORDED_COSTS)
def test_cost_and_matching_as_recorded(case: str):
    figures, output = FIGURES[case], output_of(case)
    if "cec_beta" in figures:
        loss = PositionSupervisedLoss(cost_power=max(figures["cec_beta"], 0.0))
        matcher, progress, shift = HungarianMatcher(weights=WEIGHTS), 1.0, 2.0  # 2 (1 - GIoU)
    else:
        loss, progress, shift = GIoUAwareLoss(), figures["matcher_iter"] / LAST, 0.0
        matcher = HighOrderMatcher(weights=WEIGHTS, order=figures["iou_order_alpha"])
    cost = matcher.cost(output, loss.matching_cost, progress)[0]
    criterion = Criterion(class_loss=loss, matcher=matcher, weights=WEIGHTS)
    (assignment,) = criterion.assign([output], progress)
    for image, count in enumerate(output.targets.counts.tolist()):
        wanted, own = recorded(case, f"cost{image}").T - shift, told_apart(case, image)
        torch.testing.assert_close(cost[image, own], wanted[own], rtol=1e-4, atol=1e-4)
        query, target = (recorded(case, f"match{image}_{end}") for end in ("query", "target"))
        assert assignment[0, image, query].tolist() == target.tolist()
        assert (assignment[0, image] >= 0).sum() == count


def test_varifocal_and_matchability_by_hand():
    # p = 1/2 everywhere and ln 2 its entropy, whatever is wanted: a target counts as its IoU or in
    # full, a negative as (1/2)^2 of 3/4, or (1/2)^1.5.
    labels = torch.tensor([[[1, BACKGROUND, NO_LOSS]]])
    arguments = torch.zeros(1, 1, 3, 2), labels, torch.tensor([[[0.6, 0.9, 0.9]]])
    assert VarifocalLoss()(*arguments).item() == pytest.approx((0.6 + 9 / 16) * math.log(2))
    expected = (1 + 3 * 0.5**1.5) * math.log(2)
    assert MatchabilityLoss()(*arguments).item() == pytest.approx(expected)


def test_position_supervised_by_hand():
    # IoU 1/2 and 1/4 give 1/4 and 1/16, stretched to 1 and 1/4: at p = 1/2 a quarter of (1/2)^2
    # and of (1/4)^2 ln 2. In the other image the best is 1 as it is.
    labels = torch.tensor([[[0, 0], [0, BACKGROUND]]])
    quality = torch.tensor([[[0.5, 0.25], [1.0, 0.0]]])
    loss = PositionSupervisedLoss()(torch.zeros(1, 2, 2, 1), labels, quality)
    positives = 0.25 * (1 / 4 + 1 / 16 + 1 / 4)
    assert loss.item() == pytest.approx((positives + 0.75 / 4) * math.log(2))


def test_giou_aware_wants_half_of_boxes_that_just_touch():
    one, other = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[1.0, 0.0, 2.0, 1.0]])
    assert GIoUAwareLoss().quality(placed(one, other)).tolist() == [0.5]
    assert GIoUAwareLoss().quality(placed(one, one)).tolist() == [1.0]


def test_no_queries():
    labels = torch.empty(2, 3, 0, dtype=torch.int64)
    for _, loss in [each for losses in LOSSES.values() for each in losses]:
        assert loss(torch.empty(2, 3, 0, 4), labels, torch.empty(2, 3, 0)).tolist() == [0.0, 0.0]


NODES = LazyConfig.load(str(CONFIGS / "common/losses.py"))


@pytest.mark.parametrize("name", sorted(set(NODES) - {"federated", "high_order_matcher"}))
def test_a_model_learns_by_each_node(name: str, tiny_config, make_batch):
    cfg = tiny_config()
    cfg.model.criterion.class_loss = NODES[name]
    cfg.model.criterion.matcher = NODES.high_order_matcher
    model = instantiate(cfg.model)
    for progress in (0.5, 0.9):  # before and after the matcher changes its cost
        losses = model(make_batch([2, 0]), Step(torch.tensor(2.0), 1.0, progress))
        assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    gradient = model.decoder.heads.class_heads[0].weight.grad
    assert gradient is not None and gradient.abs().sum() > 0


def test_start_of_the_high_order():
    with pytest.raises(ValueError, match=r"matcher\.start=1\.5"):
        HighOrderMatcher(weights=WEIGHTS, start=1.5)
