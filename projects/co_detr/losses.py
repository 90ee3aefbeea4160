"""Losses of dense heads; all are summed over a batch, and not weighted."""

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.ops import generalized_box_iou, sigmoid_focal_loss
from hdetr_d2.projects.co_detr.boxes import side_distances
from hdetr_d2.structures import Assignment
from hdetr_d2.utils.distributed import mean_over_processes


def focal_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Sigmoid focal loss of `Tensor[B, N, K]` with labels `Tensor[B, N]`, 0-d."""
    return sigmoid_focal_loss(logits[None], labels[None])[0]


def giou_loss(boxes: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """1 - GIoU of `Tensor[B, N, 4]` xyxy twice with weights `Tensor[B, N]`, 0-d."""
    return ((1 - generalized_box_iou(boxes, wanted)) * weights).sum()


def binary_loss(logits: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Binary cross-entropy of `Tensor[B, N]` with targets in [0, 1] and weights, 0-d."""
    return F.binary_cross_entropy_with_logits(logits, wanted, weights, reduction="sum")


def distribution_focal_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross-entropy with the two integers around a number (GFL), weighted by proximity.

    Args:
        logits: `Tensor[..., n + 1]` for the integers 0 to n.
        wanted: `Tensor[...]` in [0, n).

    Returns:
        `Tensor[...]`.
    """
    below = wanted.floor()
    index = below.long()[..., None]
    log_share = logits.log_softmax(-1)
    lower, upper = (log_share.gather(-1, index + step)[..., 0] for step in (0, 1))
    return -(below + 1 - wanted) * lower - (wanted - below) * upper


def centerness(points: Tensor, boxes: Tensor) -> Tensor:
    """How close points `Tensor[..., 2]` are to the centre of the boxes `Tensor[..., 4]` that
    contain them (FCOS, https://arxiv.org/abs/1904.01355): `Tensor[...]`, 1 at the centre and 0 on a
    side.
    """
    left, top, right, bottom = side_distances(points, boxes).unbind(-1)
    x = torch.minimum(left, right) / torch.maximum(left, right)
    y = torch.minimum(top, bottom) / torch.maximum(top, bottom)
    return (x * y).sqrt()


def mean_positives(assignment: Assignment) -> Tensor:
    """Number of rows in `Tensor[B, N]` with a target, at least one per image, averaged over
    processes; 0-d.
    """
    return at_least_one((assignment >= 0).sum(1).clamp(min=1).sum())


def at_least_one(total: Tensor) -> Tensor:
    """A sum over a batch, averaged over processes and at least 1, for use as a divisor; 0-d
    float32.
    """
    return mean_over_processes(total.detach().float()).clamp(min=1)
