"""Soft-NMS against the recorded numbers of the library that the released code calls."""

import hdetr_d2  # noqa: F401

import sys
from pathlib import Path

import pytest
import torch

from hdetr_d2.projects.co_detr import SoftSuppression

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "golden"))
import golden


@pytest.mark.parametrize("threshold", [0.8, 0.3])
def test_order_and_scores(threshold: float):
    case = golden.load("co_deformable_detr", Path(__file__).parent)
    boxes, scores, detections, order = (
        torch.from_numpy(case.arrays[f"unit_{name}"])
        for name in (
            "snms_boxes",
            "snms_scores",
            f"snms0{threshold * 10:.0f}_dets",
            f"snms0{threshold * 10:.0f}_keep",
        )
    )
    suppression = SoftSuppression(iou=threshold, most=len(scores))
    found = suppression(boxes, scores, torch.zeros(len(scores)), (10000, 10000))
    torch.testing.assert_close(found.pred_boxes.tensor, boxes[order])
    torch.testing.assert_close(found.scores, detections[:, 4])
