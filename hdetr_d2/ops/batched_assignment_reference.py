"""Batched assignment by SciPy on the host, one problem at a time: the kernels' reference. Used
where there are no kernels, and by tests of the kernels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from hdetr_d2.ops.derivative import is_transformed

# Larger costs forbid a pair, like inf and nan: their sums would leave float32. The float32 nearest
# to 1e30 is slightly larger, and counts as 1e30.
_LARGEST_COST = float(np.float32(1e30))


def batched_assignment_reference(
    costs: Sequence[Tensor], num_targets: Tensor, capacities: Sequence[int]
) -> list[Tensor]:
    """The same as `batched_assignment` with lists; arguments are not checked.

    Solved in float64 on the host.

    Raises:
        RuntimeError: called within `torch.vmap` or `torch.func`.
    """
    if any(map(is_transformed, (*costs, num_targets))):
        raise RuntimeError(
            "batched_assignment without kernels does not run in torch.vmap or torch.func: SciPy "
            "cannot read their tensors."
        )
    counts = num_targets.long().cpu().numpy()
    return [
        torch.from_numpy(_solve_all(cost.detach().double().cpu().numpy(), counts, capacity)).to(
            cost.device
        )
        for cost, capacity in zip(costs, capacities, strict=True)
    ]


def _solve_all(cost: np.ndarray, counts: np.ndarray, capacity: int) -> np.ndarray:
    """`[P, G, Q]` float64 to `[P, Q]` int64."""
    problems, _, queries = cost.shape
    answer = np.full((problems, queries), -1, dtype=np.int64)
    for problem in range(problems):
        targets = counts[problem % len(counts)]
        if targets and queries:
            answer[problem] = _solve(cost[problem, :targets], capacity)
    return answer


def _solve(cost: np.ndarray, capacity: int) -> np.ndarray:
    """One problem: `[G, Q]` float64, not empty, to `[Q]` int64."""
    allowed = np.abs(cost) <= _LARGEST_COST  # False for nan as well
    if not allowed.all():
        cost = _priced(cost, allowed, pairs=min(cost.shape[0] * capacity, cost.shape[1]))
    # With the copies of the targets stacked, SciPy scans along the queries, which is its fast way.
    rows, columns = linear_sum_assignment(cost if capacity == 1 else np.tile(cost, (capacity, 1)))
    targets = rows % len(cost)
    answer = np.full(cost.shape[1], -1, dtype=np.int64)
    answer[columns] = np.where(allowed[targets, columns], targets, -1)
    return answer


def _priced(cost: np.ndarray, allowed: np.ndarray, pairs: int) -> np.ndarray:
    """`cost` with a price on every forbidden pair that no saving elsewhere can outweigh.

    Shifting costs to start at zero keeps the price, and with it the rounding error, small.
    """
    if not allowed.any():
        return np.zeros_like(cost)
    lowest = cost[allowed].min()
    span = cost[allowed].max() - lowest
    return np.where(allowed, cost - lowest, (pairs + 1) * (span or 1.0))
