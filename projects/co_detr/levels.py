"""Rows grouped by level."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from hdetr_d2.utils.device import to_device


def best_of_levels(
    values: Tensor, lengths: Sequence[int], most: int, largest: bool = True
) -> tuple[Tensor, Tensor]:
    """The best values of each level, best first, and their rows: `Tensor[..., n]` each.

    Args:
        values: `Tensor[..., N]`.
        lengths: rows per level, N in total.
        most: per level; all if there are fewer.
        largest: whether larger is better.
    """
    starts = [0, *accumulate(lengths)]
    best = [
        level.topk(min(most, level.shape[-1]), dim=-1, largest=largest)
        for level in values.split([*lengths], -1)
    ]
    rows = [each.indices + start for each, start in zip(best, starts, strict=False)]
    return torch.cat([each.values for each in best], -1), torch.cat(rows, -1)


def level_of(rows: Tensor, lengths: Sequence[int]) -> Tensor:
    """The level of each row, from 0; any shape."""
    return torch.bucketize(rows, to_device([*accumulate(lengths)], rows), right=True)
