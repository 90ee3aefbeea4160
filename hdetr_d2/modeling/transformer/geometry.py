"""Where the cells of padded feature maps lie in their images."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def level_padding(padding: Tensor, shape: tuple[int, int]) -> Tensor:
    """The padding `Tensor[B, H, W]` bool at the resolution of a level, nearest neighbour."""
    return F.interpolate(padding[:, None].float(), size=shape)[:, 0].bool()


def valid_ratio(padding: Tensor) -> Tensor:
    """`Tensor[B, 2]`: the shares (x, y) of a level `Tensor[B, H, W]` that are not padded."""
    inside = (~padding).float()
    return torch.stack([inside[:, 0].mean(1), inside[:, :, 0].mean(1)], -1)


def cell_centres(shapes: Sequence[tuple[int, int]], valid_ratios: Tensor) -> Tensor:
    """`Tensor[B, S, 2]`: (x, y) of every cell's centre, 1 being the end of the unpadded part of its
    level.
    """
    levels = []
    for level, (height, width) in enumerate(shapes):
        y = (torch.arange(height, device=valid_ratios.device, dtype=torch.float32) + 0.5) / height
        x = (torch.arange(width, device=valid_ratios.device, dtype=torch.float32) + 0.5) / width
        grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1)  # [H * W, 2]
        levels.append(grid[None] / valid_ratios[:, level, None])
    return torch.cat(levels, 1)
