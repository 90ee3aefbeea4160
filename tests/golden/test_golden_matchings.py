"""The matcher on recorded predictions of the published implementations: the recorded indices where
there are some, else the losses that only the same pairs can have.
"""

import hdetr_d2  # noqa: F401

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hdetr_d2.losses import Criterion, FocalLoss
from hdetr_d2.losses.criterion import Matched
from hdetr_d2.matching import HungarianMatcher
from hdetr_d2.ops import ClassCost, FocalCost, SoftmaxCost
from hdetr_d2.structures import Group, GroupOutput, Match, Predictions, Targets

sys.path.insert(0, str(Path(__file__).parent))
import golden

RECORDED = json.loads(Path(__file__).with_name("matchings.json").read_text(encoding="utf-8"))
WEIGHTS = {"class": 2.0, "bbox": 5.0, "giou": 2.0}


def padded(labels: list[Tensor], boxes: list[Tensor]) -> Targets:
    labels, boxes = (torch.nn.utils.rnn.pad_sequence(x, batch_first=True) for x in (labels, boxes))
    return Targets(labels, boxes, boxes.any(-1))


def to_output(name: str, logits: Tensor, boxes: Tensor, targets: Targets) -> GroupOutput:
    """Of `Tensor[L, B, Q, K]` and `Tensor[L, B, Q, 4]`."""
    return GroupOutput(
        Group(name=name, assigner=Match((1,) * len(logits))), Predictions(logits, boxes), targets
    )


@pytest.fixture(scope="module")
def recorded() -> list[GroupOutput]:
    arrays = dict(np.load(Path(__file__).with_name("matchings.npz")))
    outputs = []
    for name in RECORDED:
        if name == "made":
            continue
        case = {key: torch.from_numpy(arrays[f"{name}.{key}"]) for key in ("logits", "boxes")}
        labels, boxes = (
            [torch.from_numpy(arrays[f"{name}.{key}{image}"]) for image in range(2)]
            for key in ("labels", "target_boxes")
        )
        outputs.append(to_output(name, **case, targets=padded(labels, boxes)))
    return outputs


def test_recorded_indices(recorded: list[GroupOutput]) -> None:
    matcher = HungarianMatcher(weights=WEIGHTS)
    assert [output.group.name for output in recorded] == ["co", "co_enc", "route", "route_aux"]
    for output in recorded:
        (assignment,) = matcher([output], FocalCost())
        found = [
            [[(row >= 0).nonzero().squeeze(1).tolist(), row[row >= 0].tolist()] for row in layer]
            for layer in assignment
        ]
        assert found == RECORDED[output.group.name], output.group.name


@pytest.mark.parametrize(
    ("name", "class_cost", "class_weight"),
    [
        ("def_pp", FocalCost(), 2.0),
        ("hybrid", FocalCost(), 2.0),
        ("dino_4scale", FocalCost(), 2.0),
        ("detr_r50", SoftmaxCost(), 1.0),
    ],
)
def test_box_losses_of_the_last_layer(
    name: str, class_cost: ClassCost, class_weight: float
) -> None:
    case = golden.load(name)
    truth = ([target[key] for target in case.targets] for key in ("labels", "boxes"))
    logits, boxes = (torch.from_numpy(case.arrays[f"pred_{key}"]) for key in ("logits", "boxes"))
    output = to_output("", logits[None], boxes[None], padded(*truth))
    weights = {**WEIGHTS, "class": class_weight}
    matcher = HungarianMatcher(weights=weights)
    (assignment,) = matcher([output], class_cost)
    criterion = Criterion(class_loss=FocalLoss(), matcher=matcher, weights=WEIGHTS)
    matched, count = Matched(output, assignment), sum(case.counts)
    ((l1, giou),) = criterion.loss_boxes(matched).tolist()
    assert 5 * l1 / count == pytest.approx(case.weighted_losses["loss_bbox"], rel=1e-5)
    assert 2 * giou / count == pytest.approx(case.weighted_losses["loss_giou"], rel=1e-5)
