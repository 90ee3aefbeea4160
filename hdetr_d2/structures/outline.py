"""Where the original image lies within the model's input."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Outline(NamedTuple):
    """The edges of the original image in pixels of the input: inside the input if that is padded,
    outside if it is a crop. x0 > x1 means it is mirrored left to right, y0 > y1 upside down.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def of(cls, item: dict) -> "Outline":
        """The outline stored in a Detectron2 dict under "outline"; by default its whole "image"."""
        height, width = item["image"].shape[-2:]
        return cls(*item.get("outline", (0, 0, width, height)))

    @property
    def size(self) -> tuple[float, float]:
        """Height and width of the original image in pixels of the input."""
        return abs(self.y1 - self.y0), abs(self.x1 - self.x0)

    def boxes(self, xyxy: Tensor) -> Tensor:
        """Maps boxes `Tensor[N, 4]` xyxy from the input to the original image's coordinate system,
        without scaling.
        """
        x = _along(xyxy[:, 0::2], self.x0, self.x1)
        y = _along(xyxy[:, 1::2], self.y0, self.y1)
        return torch.stack([x, y], dim=2).flatten(1)

    def pixels(self, maps: Tensor, unseen: float) -> Tensor:
        """The part of `Tensor[N, H, W]`, in pixels of the input, that the original image covers:
        `Tensor[N, h, w]`, with `unseen` where the input does not show it. Edges between two pixels
        are rounded to the nearest.
        """
        height, width = maps.shape[-2:]
        left, right = sorted((round(self.x0), round(self.x1)))
        top, bottom = sorted((round(self.y0), round(self.y1)))
        edges = [-left, right - width, -top, bottom - height]  # negative numbers crop
        if any(edges):
            maps = F.pad(maps, edges, value=unseen)
        turned = [-1] * (self.x0 > self.x1) + [-2] * (self.y0 > self.y1)
        return maps.flip(turned) if turned else maps


def _along(ends: Tensor, start: float, stop: float) -> Tensor:
    """Both ends `Tensor[N, 2]` of boxes along one axis as distances from `start`, the lower one
    first.
    """
    return start - ends.flip(1) if start > stop else ends - start
