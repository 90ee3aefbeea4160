"""The losses of boxes in PyTorch's own operations: the kernels' twin. It answers where there are no
kernels, and tests compare the kernels with it."""

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.ops.boxes import box_cxcywh_to_xyxy, generalized_box_iou

_NEUTRAL = 0.5
"""All four numbers of the box that stands on both sides where a row has no target: its losses are
exactly zero, and so are their gradients."""


def box_losses_reference(boxes: Tensor, truth: Tensor, index: Tensor) -> Tensor:
    """The same as `box_losses` with the same arguments, which are not checked here.

    It runs on every device and with every floating dtype.
    """
    targets = truth.shape[1]
    has_target = (index >= 0)[..., None]
    # One row more: something to look up where there are no targets at all.
    place = index.clamp(0, targets)[..., None].expand(-1, -1, 4)
    wanted = F.pad(truth, (0, 0, 0, 1)).gather(1, place)
    boxes = torch.where(has_target, boxes, _NEUTRAL)
    wanted = torch.where(has_target, wanted, _NEUTRAL)
    distance = (boxes - wanted).abs().sum(-1)
    giou = generalized_box_iou(box_cxcywh_to_xyxy(boxes), box_cxcywh_to_xyxy(wanted))
    losses = torch.stack([distance, 1 - giou], -1)
    return losses.masked_fill((index >= targets)[..., None], torch.nan)
