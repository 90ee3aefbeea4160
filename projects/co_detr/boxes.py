"""Functions on boxes, xyxy in pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hdetr_d2.utils.device import to_device

_EPS = 1e-6


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU `Tensor[...]` of boxes `Tensor[..., 4]` that broadcast against each other."""
    x0, y0, x1, y1 = boxes1.unbind(-1)
    u0, v0, u1, v1 = boxes2.unbind(-1)
    inside = (torch.minimum(x1, u1) - torch.maximum(x0, u0)).clamp(min=0)
    inside = inside * (torch.minimum(y1, v1) - torch.maximum(y0, v0)).clamp(min=0)
    union = (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - inside
    return inside / union.clamp(min=_EPS)


def box_centres(boxes: Tensor) -> Tensor:
    """`Tensor[..., 4]` to (x, y), `Tensor[..., 2]`."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def box_sides(boxes: Tensor) -> Tensor:
    """`Tensor[..., 4]` to width and height, `Tensor[..., 2]`."""
    return boxes[..., 2:] - boxes[..., :2]


def side_distances(points: Tensor, boxes: Tensor) -> Tensor:
    """From points `Tensor[..., 2]` to the left, top, right and bottom side of boxes `Tensor[...,
    4]`, which broadcast: `Tensor[..., 4]`, all positive if the point is inside.
    """
    return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1)


def boxes_around(points: Tensor, distances: Tensor) -> Tensor:
    """The boxes whose sides have these distances: the inverse of `side_distances`."""
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)


def clip_boxes(boxes: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
    """`Tensor[B, N, 4]` with all corners moved into the images of `sizes` (h, w)."""
    limits = to_device([(w, h, w, h) for h, w in sizes], boxes)
    return torch.minimum(boxes.clamp(min=0), limits[:, None])
