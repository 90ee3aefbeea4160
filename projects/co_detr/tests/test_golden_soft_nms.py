"""Soft-NMS against the recorded numbers of the library that the released code calls."""

import hdetr_d2  # noqa: F401

import sys
from pathlib import Path

import pytest
import torch

from hdetr_d2.modeling.soft_nms import soft_nms
from hdetr_d2.ops import box_iou

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
    iou = box_iou(boxes[:, None], boxes)
    factors = torch.where(iou >= threshold, 1 - iou, 1.0)
    best, places = soft_nms(scores[None], factors[None], 1e-3, len(scores))
    kept = len(order)
    assert places[0, :kept].tolist() == order.tolist()
    torch.testing.assert_close(best[0, :kept], detections[:, 4])
    assert best[0, kept:].isneginf().all()
