"""Box losses in PyTorch's own operations: the kernels' reference. Used where there are no kernels,
and by tests of the kernels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.ops.boxes import box_cxcywh_to_xyxy, generalized_box_iou

_NEUTRAL = 0.5
"""All four coordinates of the box that replaces both sides of a row without a target: its losses
and gradients are then exactly zero.
"""


def box_losses_reference(boxes: Tensor, truth: Tensor, index: Tensor) -> Tensor:
    """The same as `box_losses`, with the same arguments, which are not checked.

    It runs on every device and with every floating dtype.
    """
    targets = truth.shape[1]
    has_target = (index >= 0)[..., None]
    # One extra row, so that there is something to gather if there are no targets at all.
    place = index.clamp(0, targets)[..., None].expand(-1, -1, 4)
    wanted = F.pad(truth, (0, 0, 0, 1)).gather(1, place)
    boxes = torch.where(has_target, boxes, _NEUTRAL)
    wanted = torch.where(has_target, wanted, _NEUTRAL)
    distance = (boxes - wanted).abs().sum(-1)
    giou = generalized_box_iou(box_cxcywh_to_xyxy(boxes), box_cxcywh_to_xyxy(wanted))
    losses = torch.stack([distance, 1 - giou], -1)
    return losses.masked_fill((index >= targets)[..., None], torch.nan)
