"""Random samples of rows, in tensors of fixed size."""

from typing import NamedTuple

import torch
from torch import Tensor

from hdetr_d2.projects.co_detr.draw import Draw
from hdetr_d2.structures import BACKGROUND, NO_LOSS, Assignment


class Sample(NamedTuple):
    """Rows of each image, positives first and padding last.

    rows: `Tensor[B, S]` int64. assignment: `Tensor[B, S]`, of these rows; `NO_LOSS` for padding.
    """

    rows: Tensor
    assignment: Assignment

    def pick(self, values: Tensor) -> Tensor:
        """Selects the rows from `Tensor[B, N, D]`: `Tensor[B, S, D]`."""
        return values.gather(1, self.rows[..., None].expand(-1, -1, values.shape[-1]))


def sample(assignment: Assignment, positives: int, total: int, draw: Draw) -> Sample:
    """Samples up to `positives` rows with a target, and background rows up to `total`.

    Args:
        assignment: `Tensor[B, N]`; rows with `NO_LOSS` are never taken.
        positives: maximum number of rows with a target.
        total: number of rows per image, if there are that many.
        draw: makes the random choice.
    """
    keys = draw(assignment.shape, assignment.device)
    some, is_some = _smallest(keys, assignment >= 0, positives)
    others, is_other = _smallest(keys, assignment == BACKGROUND, total)
    room = total - is_some.sum(1, keepdim=True)
    is_other &= torch.arange(others.shape[1], device=keys.device) < room
    index, taken = torch.cat([some, others], 1), torch.cat([is_some, is_other], 1)
    order = (~taken).byte().argsort(dim=1, stable=True)[:, :total]  # moves the gaps to the end
    index, taken = index.gather(1, order), taken.gather(1, order)
    return Sample(index, torch.where(taken, assignment.gather(1, index), NO_LOSS))


def _smallest(keys: Tensor, among: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Indices of the smallest keys `among` the rows, and whether they exist, [B, count] each."""
    keys = keys.masked_fill(~among, float("inf"))
    values, index = keys.topk(min(count, keys.shape[1]), dim=1, largest=False)
    return index, values.isfinite()
