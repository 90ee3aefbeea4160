"""Assignment by position and size (FCOS, https://arxiv.org/abs/1904.01355)."""

import torch
from torch import Tensor

from hdetr_d2.projects.co_detr.anchors import Anchors
from hdetr_d2.projects.co_detr.boxes import box_centres, box_sides
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import BACKGROUND, NO_LOSS, Assignment

_FARTHEST_SIDE = 8.0
"""Maximum distance from a point to the sides of its target, in strides; half of it is the maximum
of the next finer level.
"""


def assign_by_centre(anchors: Anchors, targets: PixelTargets, radius: float = 1.5) -> Assignment:
    """The assignment `Tensor[B, N]` of the centres of anchors, which are points; `NO_LOSS` outside
    of an image.

    A point can learn a target if it is inside and near its centre, and if the distance to the
    farthest side suits the level: up to eight strides, and more than in the previous level. The
    finest level has no lower limit, the coarsest no upper one. Of several targets the smallest is
    learned.

    Args:
        anchors: of the pyramid, one per cell.
        targets: of the B images.
        radius: strides from the centre of a target, along x and y.
    """
    closest, farthest = _closest_and_farthest(anchors.centres, targets.boxes)
    nearest, limit = _ranges(anchors)
    can = (closest > 0) & (farthest >= nearest) & (farthest <= limit)
    can &= _in_the_middle(anchors, targets, radius) & targets.valid[..., None]
    area = box_sides(targets.boxes).prod(-1)[..., None]
    smallest, index = area.where(can, float("inf")).min(1)
    answer = torch.where(smallest.isfinite(), index, BACKGROUND)
    return torch.where(anchors.valid, answer, NO_LOSS)


def _closest_and_farthest(points: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The distances `Tensor[B, G, N]` of points `Tensor[N, 2]` to the closest and farthest side of
    boxes `Tensor[B, G, 4]`; computed one side at a time, since all four would take four times the
    memory.
    """
    x, y = points.unbind(-1)
    left, top, right, bottom = boxes[..., None].unbind(-2)
    closest = farthest = x - left
    for distance in (y - top, right - x, bottom - y):
        closest, farthest = closest.minimum(distance), farthest.maximum(distance)
    return closest, farthest


def _ranges(anchors: Anchors) -> tuple[Tensor, Tensor]:
    """Minimum and maximum distance of the farthest side, in pixels, `Tensor[N]` each."""
    limit = _FARTHEST_SIDE * anchors.strides
    nearest = limit / 2
    nearest[: anchors.lengths[0]] = -1.0
    limit[len(limit) - anchors.lengths[-1] :] = float("inf")
    return nearest, limit


def _in_the_middle(anchors: Anchors, targets: PixelTargets, radius: float) -> Tensor:
    """`Tensor[B, G, N]` bool: less than `radius` strides from the centre of the target."""
    x, y = anchors.centres.unbind(-1)
    middle_x, middle_y = box_centres(targets.boxes)[..., None].unbind(-2)
    reach = radius * anchors.strides
    return ((x - middle_x).abs() < reach) & ((y - middle_y).abs() < reach)
