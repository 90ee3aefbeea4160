"""Targets by place and size (FCOS, https://arxiv.org/abs/1904.01355)."""

import torch
from torch import Tensor

from hdetr_d2.projects.co_detr.anchors import Anchors
from hdetr_d2.projects.co_detr.boxes import box_centres, box_sides, boxes_around, side_distances
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import BACKGROUND, NO_LOSS, Assignment

_FARTHEST_SIDE = 8.0
"""From a point to the sides of its target, in strides; half of it in the next finer level."""


def assign_by_centre(anchors: Anchors, targets: PixelTargets, radius: float = 1.5) -> Assignment:
    """The assignment `Tensor[B, N]` of the centres of anchors, which are points; `NO_LOSS` outside
    of an image.

    A point can learn a target if it is near the middle of it and inside of it, and if the farthest
    side is as far away as its level is for: up to eight strides, and more than in the level before.
    The finest level is also for all nearer ones, the coarsest for all farther ones. Of several
    targets the smallest is learned.

    Args:
        anchors: of the pyramid, one a cell.
        targets: of the B images.
        radius: strides from the middle of a target, in x and in y.
    """
    distances = side_distances(anchors.centres, targets.boxes[:, :, None])  # [B, G, N, 4]
    farthest = distances.amax(-1)
    nearest, limit = _ranges(anchors)
    can = (distances.amin(-1) > 0) & (farthest >= nearest) & (farthest <= limit)
    can &= _in_the_middle(anchors, targets, radius) & targets.valid[..., None]
    area = box_sides(targets.boxes).prod(-1)[..., None]
    smallest, index = area.where(can, float("inf")).min(1)
    answer = torch.where(smallest.isfinite(), index, BACKGROUND)
    return torch.where(anchors.valid, answer, NO_LOSS)


def _ranges(anchors: Anchors) -> tuple[Tensor, Tensor]:
    """How far the farthest side is at least and at most, in pixels, `Tensor[N]` each."""
    limit = _FARTHEST_SIDE * anchors.strides
    nearest = limit / 2
    nearest[: anchors.lengths[0]] = -1.0
    limit[len(limit) - anchors.lengths[-1] :] = float("inf")
    return nearest, limit


def _in_the_middle(anchors: Anchors, targets: PixelTargets, radius: float) -> Tensor:
    """`Tensor[B, G, N]` bool: less than `radius` strides from the middle of the target."""
    middle = box_centres(targets.boxes)[:, :, None]
    reach = radius * anchors.strides[:, None].expand(-1, 4)
    square = boxes_around(middle, reach)  # [B, G, N, 4]
    return side_distances(anchors.centres, square).amin(-1) > 0
