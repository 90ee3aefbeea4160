"""Boxes encoded relative to anchors (R-CNN, https://arxiv.org/abs/1311.2524)."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from hdetr_d2.projects.co_detr.boxes import box_centres, box_sides
from hdetr_d2.utils.device import to_device

_LARGEST_LOG = math.log(1000 / 16)
"""Maximum log ratio of a side to that of its anchor; more gives no sensible box."""


class DeltaCoder:
    """The offset between the centres, in sides of the anchor, and the log ratio of the sides.

    Args:
        stds: divisors of the four numbers (x, y, width, height).
    """

    def __init__(self, *, stds: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> None:
        self.stds = tuple(stds)

    def encode(self, anchors: Tensor, boxes: Tensor) -> Tensor:
        """Broadcastable anchors and boxes `Tensor[..., 4]` xyxy to deltas `Tensor[..., 4]`."""
        sides = box_sides(anchors)
        step = (box_centres(boxes) - box_centres(anchors)) / sides
        growth = (box_sides(boxes) / sides).log()
        return torch.cat([step, growth], -1) / to_device(self.stds, boxes)

    def decode(self, anchors: Tensor, deltas: Tensor) -> Tensor:
        """Broadcastable anchors xyxy and deltas `Tensor[..., 4]` to boxes xyxy."""
        step, growth = (deltas * to_device(self.stds, deltas)).split(2, -1)
        sides = box_sides(anchors)
        centres = box_centres(anchors) + step * sides
        half = sides * growth.clamp(-_LARGEST_LOG, _LARGEST_LOG).exp() / 2
        return torch.cat([centres - half, centres + half], -1)
