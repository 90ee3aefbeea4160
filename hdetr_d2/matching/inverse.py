"""An assignment from the targets' point of view."""

import torch
from torch import Tensor


def queries_of_targets(assignment: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The query of each target; the first one if a target has several.

    Args:
        assignment: `Tensor[B, Q]`, one layer of an `Assignment`.
        length: padded number of targets, G.

    Returns:
        `Tensor[B, G]` int64, and `Tensor[B, G]` bool, whether a query learns the target; where none
        does, the index is arbitrary.
    """
    batch, queries = assignment.shape
    # Queries without a target go to an extra slot behind all targets.
    place = torch.where(assignment >= 0, assignment, length)
    order = torch.arange(queries, device=assignment.device).expand(batch, -1)
    first = order.new_full((batch, length + 1), queries)
    first = first.scatter_reduce(1, place, order, "amin")[:, :length]
    return first.clamp(max=queries - 1), first < queries
