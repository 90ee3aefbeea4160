"""Where the original image lies in what the model is fed."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Outline(NamedTuple):
    """The edges of the original image, in pixels of the fed one: inside it where that is padded,
    outside where it is a crop. With x0 > x1 it is mirrored left to right, with y0 > y1 upside down.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    @classmethod
    def of(cls, item: dict) -> "Outline":
        """That of one of Detectron2's dicts: its "outline", by default all of its "image"."""
        height, width = item["image"].shape[-2:]
        return cls(*item.get("outline", (0, 0, width, height)))

    @property
    def size(self) -> tuple[float, float]:
        """Height and width of the original image in pixels of the fed one."""
        return abs(self.y1 - self.y0), abs(self.x1 - self.x0)

    def boxes(self, xyxy: Tensor) -> Tensor:
        """Boxes `Tensor[N, 4]` xyxy in the fed image, seen from the corner of the original one
        that is its first pixel; the unit stays.
        """
        x = _along(xyxy[:, 0::2], self.x0, self.x1)
        y = _along(xyxy[:, 1::2], self.y0, self.y1)
        return torch.stack([x, y], dim=2).flatten(1)

    def pixels(self, maps: Tensor, unseen: float) -> Tensor:
        """The part of `Tensor[N, H, W]`, in pixels of the fed image, that the original image
        takes: `Tensor[N, h, w]`, with `unseen` where the fed image does not show it. Edges between
        two pixels move to the nearer one.
        """
        height, width = maps.shape[-2:]
        left, right = sorted((round(self.x0), round(self.x1)))
        top, bottom = sorted((round(self.y0), round(self.y1)))
        edges = [-left, right - width, -top, bottom - height]  # negative ones cut
        if any(edges):
            maps = F.pad(maps, edges, value=unseen)
        turned = [-1] * (self.x0 > self.x1) + [-2] * (self.y0 > self.y1)
        return maps.flip(turned) if turned else maps


def _along(ends: Tensor, start: float, stop: float) -> Tensor:
    """Both ends `Tensor[N, 2]` of boxes on one axis as distances from `start`, lower one first."""
    return start - ends.flip(1) if start > stop else ends - start
