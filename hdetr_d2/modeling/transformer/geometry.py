"""Feature maps as tokens, and where the cells of padded maps lie in their images."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hdetr_d2.structures import Memory


def flatten_levels(
    features: Sequence[Tensor], padding: Tensor, encode: Callable[[Tensor], Tensor] | None
) -> Memory:
    """Maps `Tensor[B, C, H_l, W_l]` as tokens with their positions, before any encoding.

    Args:
        features: of each level.
        padding: `Tensor[B, H, W]` bool of the images.
        encode: from the padding of a level, `Tensor[B, H_l, W_l]`, to its positions `Tensor[B, H_l,
            W_l, C]`; None where nobody asks for them.
    """
    shapes = tuple((f.shape[-2], f.shape[-1]) for f in features)
    masks = [level_padding(padding, shape) for shape in shapes]
    return Memory(
        tokens=torch.cat([f.flatten(2).transpose(1, 2) for f in features], 1),
        padding=torch.cat([mask.flatten(1) for mask in masks], 1),
        shapes=shapes,
        valid_ratios=torch.stack([valid_ratio(mask) for mask in masks], 1),
        position=torch.cat([encode(mask).flatten(1, 2) for mask in masks], 1) if encode else None,
    )


def level_padding(padding: Tensor, shape: tuple[int, int]) -> Tensor:
    """The padding `Tensor[B, H, W]` bool at the resolution of a level, nearest neighbour.

    By indices, not by `interpolate`: files of OpenVINO with that chose other proposals for an image
    that does not fill its batch.
    """
    rows, columns = (
        torch.arange(cells, device=padding.device) * side // cells
        for cells, side in zip(shape, padding.shape[1:], strict=True)
    )
    return padding[:, rows[:, None], columns]


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
