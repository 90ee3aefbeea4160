"""Every head learns an image by heart, and finds in it what it has learned."""

import sys
from pathlib import Path

import pytest
import torch
from torchvision.ops import box_iou

sys.path.insert(0, str(Path(__file__).parent))
from scenes import pixel_targets, random_pyramid
from test_heads import HEADS

from hdetr_d2.projects.co_detr import RandomDraw

STEPS = 30


@pytest.mark.parametrize("name", HEADS)
def test_an_image_by_heart(name):
    head, pyramid = HEADS[name][0](), random_pyramid([(64, 96)])
    targets = pixel_targets([[8.0, 8, 40, 40], [30, 2, 90, 60]])
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-3)
    for _ in range(STEPS):
        optimizer.zero_grad()
        losses = head(pyramid, targets, RandomDraw()).losses
        sum(losses.values()).backward()
        optimizer.step()
    with torch.no_grad():
        (found,) = head.eval().detect(pyramid)
    best = found[:2]
    assert sorted(best.pred_classes.tolist()) == [0, 1]
    own = box_iou(best.pred_boxes.tensor, targets.boxes[0, best.pred_classes]).diagonal()
    assert (own > 0.5).all(), own
