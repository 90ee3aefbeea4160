"""Functions on boxes, xyxy in pixels."""

from collections.abc import Sequence

import torch
from torch import Tensor

from hdetr_d2.utils.device import to_device


def box_centres(boxes: Tensor) -> Tensor:
    """`Tensor[..., 4]` to (x, y), `Tensor[..., 2]`."""
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def box_sides(boxes: Tensor) -> Tensor:
    """`Tensor[..., 4]` to width and height, `Tensor[..., 2]`."""
    return boxes[..., 2:] - boxes[..., :2]


def side_distances(points: Tensor, boxes: Tensor) -> Tensor:
    """Distances from points `Tensor[..., 2]` to the left, top, right and bottom side of boxes
    `Tensor[..., 4]`, broadcast: `Tensor[..., 4]`, all positive if the point is inside.
    """
    return torch.cat([points - boxes[..., :2], boxes[..., 2:] - points], -1)


def boxes_around(points: Tensor, distances: Tensor) -> Tensor:
    """Boxes from the distances to their sides: the inverse of `side_distances`."""
    return torch.cat([points - distances[..., :2], points + distances[..., 2:]], -1)


def clip_boxes(boxes: Tensor, sizes: Sequence[tuple[int, int]]) -> Tensor:
    """Clips `Tensor[B, N, 4]` to images of `sizes` (h, w)."""
    limits = to_device([(w, h, w, h) for h, w in sizes], boxes)
    return torch.minimum(boxes.clamp(min=0), limits[:, None])
