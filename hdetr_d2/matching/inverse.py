"""An assignment seen from the targets."""

import torch
from torch import Tensor


def queries_of_targets(assignment: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """The query of each target; of a target that takes several, the first one.

    Args:
        assignment: `Tensor[B, Q]`, one layer of an `Assignment`.
        length: of the padded targets, G, padding included.

    Returns:
        `Tensor[B, G]` int64, and `Tensor[B, G]` bool, whether a query learns the target; where none
        does the index is that of any query.
    """
    batch, queries = assignment.shape
    # Queries without a target meet in a place of their own behind the others.
    place = torch.where(assignment >= 0, assignment, length)
    order = torch.arange(queries, device=assignment.device).expand(batch, -1)
    first = order.new_full((batch, length + 1), queries)
    first = first.scatter_reduce(1, place, order, "amin")[:, :length]
    return first.clamp(max=queries - 1), first < queries
