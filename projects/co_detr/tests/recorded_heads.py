"""The recorded case of the released code as its heads saw it, and its weights under our names."""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "golden"))
import golden

from hdetr_d2.projects.co_detr import (
    ATSSHead,
    FasterRCNNHead,
    PixelTargets,
    Pyramid,
    RegionProposalNetwork,
    RoIHead,
)

HERE = Path(__file__).parent
STRIDES = (8, 16, 32, 64, 128)
WEIGHT = 6.0  # of three decoder layers
ATSS_NAMES = {
    "predictor.class_tower.0.weight": "cls_convs.0.conv.weight",
    "predictor.class_tower.1.weight": "cls_convs.0.gn.weight",
    "predictor.class_tower.1.bias": "cls_convs.0.gn.bias",
    "predictor.box_tower.0.weight": "reg_convs.0.conv.weight",
    "predictor.box_tower.1.weight": "reg_convs.0.gn.weight",
    "predictor.box_tower.1.bias": "reg_convs.0.gn.bias",
    "predictor.class_conv.weight": "atss_cls.weight",
    "predictor.class_conv.bias": "atss_cls.bias",
    "predictor.box_conv.weight": "atss_reg.weight",
    "predictor.box_conv.bias": "atss_reg.bias",
    "predictor.quality_conv.weight": "atss_centerness.weight",
    "predictor.quality_conv.bias": "atss_centerness.bias",
}
FASTER_RCNN_NAMES = {
    "rpn.conv": "rpn_head.rpn_conv",
    "rpn.class_conv": "rpn_head.rpn_cls",
    "rpn.box_conv": "rpn_head.rpn_reg",
    "roi_head.hidden.0": "roi_head.0.bbox_head.shared_fcs.0",
    "roi_head.hidden.2": "roi_head.0.bbox_head.shared_fcs.1",
    "roi_head.class_layer": "roi_head.0.bbox_head.fc_cls",
    "roi_head.box_layer": "roi_head.0.bbox_head.fc_reg",
}


def load() -> golden.Case:
    return golden.load("co_deformable_detr", HERE)


def pyramid(case: golden.Case) -> Pyramid:
    arrays = np.load(HERE / "co_deformable_detr_feats.npz")
    maps = [torch.from_numpy(arrays[f"enc{level}"]) for level in range(len(STRIDES))]
    return Pyramid(maps, STRIDES, [(h, w) for h, w in case.sizes])


def targets(case: golden.Case) -> PixelTargets:
    boxes, labels = (
        torch.nn.utils.rnn.pad_sequence(
            [torch.from_numpy(case.arrays[f"{name}_img{image}"]) for image in (0, 1)],
            batch_first=True,
        )
        for name in ("gt_boxes_xyxy", "gt_labels")
    )
    valid = torch.arange(boxes.shape[1]) < torch.tensor(case.counts)[:, None]
    return PixelTargets(labels.long(), boxes, valid)


def atss(case: golden.Case) -> ATSSHead:
    head = ATSSHead(dim=256, num_classes=80, num_levels=len(STRIDES), weight=WEIGHT)
    state = case.state_dict()
    weights = {ours: state[f"bbox_head.0.{theirs}"] for ours, theirs in ATSS_NAMES.items()}
    scales = [state[f"bbox_head.0.scales.{level}.scale"] for level in range(len(STRIDES))]
    weights["predictor.scales"] = torch.stack(scales)
    head.load_state_dict(weights)
    return head


def faster_rcnn(case: golden.Case) -> FasterRCNNHead:
    head = FasterRCNNHead(
        rpn=RegionProposalNetwork(dim=256),
        roi_head=RoIHead(dim=256, num_classes=80, num_levels=4),
        weight=WEIGHT,
    )
    state = case.state_dict()
    weights = {}
    for ours, theirs in FASTER_RCNN_NAMES.items():
        for kind in ("weight", "bias"):
            weights[f"{ours}.{kind}"] = state[f"{theirs}.{kind}"]
    head.load_state_dict(weights)
    return head


def detections(case: golden.Case, head: str, image: int) -> dict[str, Tensor]:
    """scores, labels and boxes (xyxy in pixels) of "atss" or "rcnn"."""
    keys = ("scores", "labels", "boxes")
    return {key: torch.from_numpy(case.arrays[f"{head}_img{image}_{key}"]) for key in keys}
