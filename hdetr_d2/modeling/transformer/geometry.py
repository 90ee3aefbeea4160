"""Feature maps as tokens, and the location of the cells of padded maps in their images."""

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
    """Flattens maps `Tensor[B, C, H_l, W_l]` to tokens with their positions, before any encoding.

    Args:
        features: of each level.
        padding: `Tensor[B, H, W]` bool of the images.
        encode: maps the padding of the levels, `Tensor[B, H_l, W_l]` each, to the positional
            encodings of all cells, `Tensor[B, S, C]`; None if they are not needed.
    """
    shapes = tuple((f.shape[-2], f.shape[-1]) for f in features)
    cells = cells_of(shapes, padding)
    padded = padding_of(padding, cells, shapes)
    valid_ratios = valid_ratios_of(padded, shapes)
    return Memory(
        tokens=torch.cat([f.flatten(2).transpose(1, 2) for f in features], 1),
        padding=padded,
        shapes=shapes,
        valid_ratios=valid_ratios,
        centres=cell_centres(cells, valid_ratios, shapes),
        position=encode(as_maps(padded, shapes)) if encode else None,
    )


def cells_of(shapes: Sequence[tuple[int, int]], like: Tensor) -> Tensor:
    """The (column, row) of the cells of maps with sizes (H, W), row by row and map by map:
    `Tensor[S, 2]` of whole numbers on the device of `like`.
    """
    sizes = [height * width for height, width in shapes]
    index = torch.arange(sum(sizes), device=like.device)
    maps = [(sum(sizes[:level]), width) for level, (_, width) in enumerate(shapes)]
    first, width = of_cells(to_device(maps, index), shapes).unbind(-1)
    place = index - first
    row = torch.div(place, width, rounding_mode="floor")
    return torch.stack([place - row * width, row], -1)


def padding_of(padding: Tensor, cells: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
    """The padding `Tensor[B, H, W]` bool at cells `Tensor[S, 2]`, by nearest neighbour:
    `Tensor[B, S]`.

    By indexing, not by `interpolate`, with which OpenVINO files chose other proposals for an image
    that does not fill its batch.
    """
    height, width = padding.shape[1:]
    sides = of_cells(to_device([(w, h) for h, w in shapes], cells), shapes)
    pixels = torch.div(cells * to_device((width, height), cells), sides, rounding_mode="floor")
    return padding[:, pixels[:, 1], pixels[:, 0]]


def as_maps(of_cells: Tensor, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """Splits `Tensor[B, S]` into maps `Tensor[B, H_l, W_l]`."""
    maps = of_cells.split([height * width for height, width in shapes], 1)
    return [each.unflatten(1, shape) for each, shape in zip(maps, shapes, strict=True)]


def valid_ratios_of(padding: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
    """The fractions (x, y) of each level that are not padding, `Tensor[B, L, 2]`, from
    `Tensor[B, S]`.
    """
    inside = as_maps((~padding).float(), shapes)
    shares = [share for each in inside for share in (each[:, 0].mean(1), each[:, :, 0].mean(1))]
    return torch.stack(shares, 1).unflatten(1, (-1, 2))


def cell_centres(cells: Tensor, valid_ratios: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
    """The centre (x, y) of every cell, `Tensor[B, S, 2]`, normalised to the unpadded part of its
    level.
    """
    sides = to_device([(width, height) for height, width in shapes], valid_ratios)  # [L, 2]
    of_level = (cells + 0.5) / of_cells(sides, shapes)
    return of_level / of_cells(valid_ratios, shapes)


def of_cells(per_level: Tensor, shapes: Sequence[tuple[int, int]]) -> Tensor:
    """Repeats the values of each level, `Tensor[..., L, N]`, for each of its cells:
    `Tensor[..., S, N]`.
    """
    sizes = [height * width for height, width in shapes]
    levels = zip(per_level.split(1, -2), sizes, strict=True)
    return torch.cat(
        [level.expand(*level.shape[:-2], size, level.shape[-1]) for level, size in levels], -2
    )
