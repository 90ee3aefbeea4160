"""The matching cost in PyTorch's own operations: the kernels' reference. Used where there are no
kernels, for class costs unknown to them, and by tests of the kernels.
"""

from functools import partial

import torch
from torch import Tensor

from hdetr_d2.ops.autocast import without_autocast
from hdetr_d2.ops.boxes import box_cxcywh_to_xyxy, box_iou, pairwise_generalized_box_iou
from hdetr_d2.ops.costs import ClassCost, CostWeights
from hdetr_d2.ops.placed_costs import AnyClassCost, Overlaps, PlacedCost


@torch.no_grad()
def matching_cost_reference(
    logits: Tensor,
    boxes: Tensor,
    labels: Tensor,
    target_boxes: Tensor,
    num_targets: Tensor,
    *,
    class_cost: AnyClassCost,
    weights: CostWeights,
) -> tuple[Tensor, Tensor]:
    """The same as `matching_cost`, with the same arguments, which are not checked.

    Runs on every device, and never creates a tensor larger than the cost or the logits.
    """
    layers = len(logits) // max(len(labels), 1)
    labels, num_targets = labels.repeat(layers, 1), num_targets.repeat(layers)
    # `no_grad` does not affect forward mode.
    logits, boxes, target_boxes = logits.detach(), boxes.detach(), target_boxes.detach()
    boxes, target_boxes = boxes.float(), target_boxes.float().repeat(layers, 1, 1)
    is_target = torch.arange(labels.shape[1], device=labels.device) < num_targets[:, None]
    distance = _distance(boxes, target_boxes)
    corners = box_cxcywh_to_xyxy(target_boxes), box_cxcywh_to_xyxy(boxes)
    giou = pairwise_generalized_box_iou(*corners)
    if isinstance(class_cost, PlacedCost):
        iou = box_iou(corners[0][..., None, :], corners[1][..., None, :, :])
        class_cost = partial(class_cost, overlaps=Overlaps(iou, giou, is_target))
    with without_autocast(logits.device):
        classes = _class_part(logits, labels, class_cost)
    lost = [~part.isfinite() & is_target[..., None] for part in (classes, distance, giou)]
    nonfinite = torch.stack([each.sum((1, 2)) for each in lost], -1)
    cost = weights.classes * classes + weights.bbox * distance - weights.giou * giou
    allowed = cost.isfinite() & is_target[..., None]
    return torch.where(allowed, cost, torch.inf).contiguous(), nonfinite


def _class_part(logits: Tensor, labels: Tensor, class_cost: ClassCost) -> Tensor:
    """`Tensor[P, G, Q]` float32, infinite for labels without a logit."""
    known = (labels >= 0) & (labels < logits.shape[-1])
    cost = class_cost(logits, labels.clamp(0, max(logits.shape[-1] - 1, 0))).float()
    return torch.where(known[..., None], cost, torch.inf)


def _distance(boxes: Tensor, target_boxes: Tensor) -> Tensor:
    """L1 distance of cxcywh, computed per coordinate so that no tensor [P, G, Q, 4] is created."""
    x, y, w, h = ((target_boxes[..., i, None] - boxes[..., None, :, i]).abs() for i in range(4))
    return x + y + w + h
