"""The batched assignment by SciPy on the host, problem by problem: the kernels' twin. It answers
where there are no kernels, and tests compare the kernels with it."""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

# Beyond this a cost says "never", like inf and nan: sums of such costs would leave float32. The
# float32 nearest to 1e30 is a little more, and counts as 1e30.
_LARGEST_COST = float(np.float32(1e30))


def batched_assignment_reference(
    costs: Sequence[Tensor], num_targets: Tensor, capacities: Sequence[int]
) -> list[Tensor]:
    """The same as `batched_assignment` with lists, which are not checked here but for the counts.

    Solved in float64 on the host, where everything is copied once.

    Raises:
        ValueError: an image has more targets than a cost has rows, or fewer than none.
    """
    counts, matrices = _to_host(num_targets, costs)
    check_counts(counts.tolist(), costs)
    return [
        torch.from_numpy(_solve_all(matrix, counts, each)).to(cost.device)
        for cost, matrix, each in zip(costs, matrices, capacities, strict=True)
    ]


def check_counts(counts: Sequence[int], costs: Sequence[Tensor]) -> None:
    """Raises ValueError if a cost `Tensor[P, G, Q]` has no room for the targets of an image."""
    for cost in costs:
        for image, count in enumerate(counts):
            if len(cost) and not 0 <= count <= cost.shape[1]:
                raise ValueError(
                    f"num_targets[{image}] is {count}, but a cost {tuple(cost.shape)} has "
                    f"{cost.shape[1]}."
                )


def _to_host(num_targets: Tensor, costs: Sequence[Tensor]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The counts and the costs on the host; from another device they come in one copy."""
    parts = [num_targets, *(cost.detach() for cost in costs)]
    if num_targets.device.type != "cpu":
        # Counts are exact in every floating type that is wider than 16 bits.
        dtype = (
            torch.float64 if any(part.dtype == torch.float64 for part in parts) else torch.float32
        )
        flat = torch.cat([part.reshape(-1).to(dtype) for part in parts]).cpu()
        pieces = flat.split([part.numel() for part in parts])
        parts = [piece.view(part.shape) for piece, part in zip(pieces, parts, strict=True)]
    counts, *matrices = parts
    return counts.long().numpy(), [matrix.double().numpy() for matrix in matrices]


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
    """One problem: `[G, Q]` float64, neither empty, to `[Q]` int64."""
    allowed = np.abs(cost) <= _LARGEST_COST  # False for nan, too
    if not allowed.all():
        cost = _priced(cost, allowed, pairs=min(cost.shape[0] * capacity, cost.shape[1]))
    # With the copies of the targets below each other SciPy scans along the queries, its quick way.
    rows, columns = linear_sum_assignment(cost if capacity == 1 else np.tile(cost, (capacity, 1)))
    targets = rows % len(cost)
    answer = np.full(cost.shape[1], -1, dtype=np.int64)
    answer[columns] = np.where(allowed[targets, columns], targets, -1)
    return answer


def _priced(cost: np.ndarray, allowed: np.ndarray, pairs: int) -> np.ndarray:
    """`cost` with a price on every forbidden pair that no saving elsewhere can outweigh.

    Starting from zero keeps the price, and with it the rounding, as small as it can be.
    """
    if not allowed.any():
        return np.zeros_like(cost)
    lowest = cost[allowed].min()
    span = cost[allowed].max() - lowest
    return np.where(allowed, cost - lowest, (pairs + 1) * (span or 1.0))
