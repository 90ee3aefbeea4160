"""The feature maps for collaborative heads, and their cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from hdetr_d2.utils.device import to_device


@dataclass
class Cells:
    """The A cells of a pyramid: level by level, row by row within a level.

    places: `Tensor[A, 2]`, (x, y) of their top left corner in pixels. strides: `Tensor[A]`, their
    side in pixels. valid: `Tensor[B, A]` bool, whether that corner is inside of the image. lengths:
    cells per level, on the host.
    """

    places: Tensor
    strides: Tensor
    valid: Tensor
    lengths: tuple[int, ...]


@dataclass(frozen=True)
class Pyramid:
    """The input of the collaborative heads.

    maps: `Tensor[B, C, H_l, W_l]` per level, finest first. strides: pixels per side of a cell, for
    each level. sizes: (h, w) of each image in pixels without padding, on the host.
    """

    maps: list[Tensor]
    strides: Sequence[int]
    sizes: Sequence[tuple[int, int]]

    @cached_property
    def cells(self) -> Cells:
        """The cells of all levels, including padding."""
        levels = zip(self.maps, self.strides, strict=True)
        places = [_places(map_, stride) for map_, stride in levels]
        lengths = tuple(len(level) for level in places)
        strides = [p.new_full((len(p),), s) for p, s in zip(places, self.strides, strict=True)]
        whole = torch.cat(places)
        sides = to_device([(w, h) for h, w in self.sizes], whole)
        valid = (whole < sides[:, None]).all(-1)
        return Cells(whole, torch.cat(strides), valid, lengths)

    @cached_property
    def tokens(self) -> Tensor:
        """The features of all cells, `Tensor[B, A, C]`."""
        return torch.cat([map_.flatten(2).transpose(1, 2) for map_ in self.maps], 1)


def _places(map_: Tensor, stride: int) -> Tensor:
    """`Tensor[H * W, 2]` float32 for a map `Tensor[B, C, H, W]`."""
    height, width = map_.shape[-2:]
    y = stride * torch.arange(height, device=map_.device, dtype=torch.float32)
    x = stride * torch.arange(width, device=map_.device, dtype=torch.float32)
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)
