"""Feature maps as tokens, and where the cells of padded maps lie in their images."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from hdetr_d2.structures import Memory
from hdetr_d2.utils.device import to_device


def flatten_levels(
    features: Sequence[Tensor],
    padding: Tensor,
    encode: Callable[[Sequence[Tensor]], Tensor] | None,
) -> Memory:
    """Maps `Tensor[B, C, H_l, W_l]` as tokens with their positions, before any encoding.

    Args:
        features: of each level.
        padding: `Tensor[B, H, W]` bool of the images.
        encode: from the padding of the levels, `Tensor[B, H_l, W_l]` each, to the positions of all
            cells `Tensor[B, S, C]`; None where nobody asks for them.
    """
    shapes = tuple((f.shape[-2], f.shape[-1]) for f in features)
    masks = [level_padding(padding, shape) for shape in shapes]
    valid_ratios = torch.stack([valid_ratio(mask) for mask in masks], 1)
    return Memory(
        tokens=torch.cat([f.flatten(2).transpose(1, 2) for f in features], 1),
        padding=torch.cat([mask.flatten(1) for mask in masks], 1),
        shapes=shapes,
        valid_ratios=valid_ratios,
        centres=cell_centres(shapes, valid_ratios),
        position=encode(masks) if encode else None,
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
    grids = []
    for height, width in shapes:
        y = torch.arange(height, device=valid_ratios.device, dtype=torch.float32)
        x = torch.arange(width, device=valid_ratios.device, dtype=torch.float32)
        grids.append(torch.stack(torch.meshgrid(x, y, indexing="xy"), -1).flatten(0, 1))
    sides = to_device([(width, height) for height, width in shapes], valid_ratios)  # [L, 2]
    of_level = (torch.cat(grids) + 0.5) / of_cells(sides[None], shapes)
    return of_level / of_cells(valid_ratios, shapes)


def of_cells(per_level: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
    """What each level has, `Tensor[..., L, N]`, for each of its cells: `Tensor[..., S, N]`."""
    sizes = [height * width for height, width in shapes]
    levels = zip(per_level.split(1, -2), sizes, strict=True)
    return torch.cat(
        [level.expand(*level.shape[:-2], size, level.shape[-1]) for level, size in levels], -2
    )
