"""The IoU-aware loss by hand, and against what the released code of Align-DETR recorded."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from hdetr_d2.losses import IoUAwareLoss
from hdetr_d2.ops import box_cxcywh_to_xyxy, box_iou
from hdetr_d2.structures import BACKGROUND

RECORDED = np.load(Path(__file__).parent / "align_detr.npz")
# Case -> class loss, divided by the objects (at least one).
CASES = {"k1": 1.4543414115905762 * 5, "k2_all_empty": 3.387495279312134}


def test_loss_by_hand():
    # p = 1/2 everywhere. A box that fits wants (1/2)^(1/4), one that does not 0.01; a negative has
    # a quarter of its entropy. With p = 1/2 the entropy is ln 2, whatever is wanted.
    labels = torch.tensor([[[1, 0, BACKGROUND]]])
    quality = torch.tensor([[[1.0, 0.0, 0.7]]])
    logits = torch.zeros(1, 1, 3, 2, requires_grad=True)
    loss = IoUAwareLoss()(logits, labels, quality)
    assert loss.tolist() == pytest.approx([(2 + 4 / 4) * math.log(2)])
    loss.sum().backward()
    of_targets = [logits.grad[0, 0, 0, 1].item(), logits.grad[0, 0, 1, 0].item()]
    assert of_targets == pytest.approx([0.5 - 0.5**0.25, 0.5 - 0.01])


@pytest.mark.parametrize("case", CASES)
def test_as_recorded(case: str):
    def of(name: str) -> torch.Tensor:
        return torch.from_numpy(RECORDED[f"{case}.{name}"])

    logits = of("logits")[None].requires_grad_()
    boxes = box_cxcywh_to_xyxy(of("boxes"))
    labels = torch.full(logits.shape[:-1], BACKGROUND)
    quality = torch.zeros(labels.shape)
    for image in range(len(boxes)):
        query, target = of(f"match{image}_query"), of(f"match{image}_target")
        wanted = box_cxcywh_to_xyxy(of(f"tgt{image}_boxes"))[target]
        labels[0, image, query] = of(f"tgt{image}_labels")[target].long()
        quality[0, image, query] = box_iou(boxes[image, query], wanted)
    loss = IoUAwareLoss()(logits, labels, quality)
    assert loss.item() == pytest.approx(CASES[case], rel=1e-4)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    normaliser = 5 if case == "k1" else 1
    expected = normaliser * of("grad_loss_class_logits")[None]
    torch.testing.assert_close(gradient, expected, rtol=1e-3, atol=1e-5)


def test_no_gradient_of_the_wanted_score():
    labels, quality = torch.zeros(1, 1, 1, dtype=torch.int64), torch.full((1, 1, 1), 0.8)
    logits = torch.tensor([[[[0.3]]]], requires_grad=True)
    IoUAwareLoss(mix=0.5)(logits, labels, quality).sum().backward()
    score = 1 / (1 + math.exp(-0.3))
    assert logits.grad.item() == pytest.approx(score - (score * 0.8) ** 0.5, rel=1e-5)
