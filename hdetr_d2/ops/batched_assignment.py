"""Optimal assignment of queries to targets for many small problems in one call."""

from collections.abc import Sequence
from typing import overload

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

# Beyond this a cost says "never", like inf and nan: sums of such costs would leave float32. The
# float32 nearest to 1e30 is a little more, and counts as 1e30.
_LARGEST_COST = float(np.float32(1e30))


@overload
def batched_assignment(cost: Tensor, num_targets: Tensor, capacity: int = 1) -> Tensor: ...
@overload
def batched_assignment(
    cost: Sequence[Tensor], num_targets: Tensor, capacity: int | Sequence[int] = 1
) -> list[Tensor]: ...
def batched_assignment(
    cost: Tensor | Sequence[Tensor], num_targets: Tensor, capacity: int | Sequence[int] = 1
) -> Tensor | list[Tensor]:
    """Gives every target its queries: the most pairs that can be, and of those the cheapest.

    A target takes `capacity` queries; with fewer than capacity * G queries, the cheapest Q pairs
    are made. A pair whose cost is not finite, or larger than 1e30 in size, is forbidden. The answer
    is a function of the costs alone; the costs are solved in float64 on the host, where they are
    copied once.

    Args:
        cost: `Tensor[P, G, Q]` of any floating dtype, or a list of them with their own P, G and Q.
            Problem p belongs to image p % B. Rows from the image's number of targets on are
            padding.
        num_targets: `Tensor[B]` integer, targets of each image, on the cost's device.
        capacity: how many queries a target may take; one number, or one for each entry of the list.

    Returns:
        `Tensor[P, Q]` int64 on the cost's device, or a list of them: for each query the index of
        its target, or -1.

    Raises:
        ValueError: shapes, counts or capacities that do not fit each other.
        TypeError: costs that are not floating or counts that are not integers.
    """
    costs = [cost] if isinstance(cost, Tensor) else list(cost)
    capacities = _capacities(capacity, len(costs))
    _check(costs, num_targets)
    counts, matrices = _to_host(num_targets, costs)
    for entry, matrix in zip(costs, matrices, strict=True):
        _check_counts(counts, entry.shape, len(matrix))
    answers = [
        torch.from_numpy(_solve_all(matrix, counts, each)).to(entry.device)
        for entry, matrix, each in zip(costs, matrices, capacities, strict=True)
    ]
    return answers[0] if isinstance(cost, Tensor) else answers


def _capacities(capacity: int | Sequence[int], entries: int) -> list[int]:
    capacities = [capacity] * entries if isinstance(capacity, int) else list(capacity)
    if len(capacities) != entries:
        raise ValueError(f"{len(capacities)} capacities were given for {entries} cost tensors.")
    if any(each < 1 for each in capacities):
        raise ValueError(f"A capacity is at least 1, not {min(capacities)}.")
    return capacities


def _check(costs: Sequence[Tensor], num_targets: Tensor) -> None:
    if num_targets.dim() != 1:
        raise ValueError(f"num_targets must be Tensor[B], not of shape {tuple(num_targets.shape)}.")
    if num_targets.is_floating_point() or num_targets.dtype == torch.bool:
        raise TypeError(f"num_targets must hold integers, not {num_targets.dtype}.")
    for cost in costs:
        if cost.dim() != 3:
            raise ValueError(f"A cost must be Tensor[P, G, Q], not of shape {tuple(cost.shape)}.")
        if not cost.is_floating_point():
            raise TypeError(f"A cost must be floating, not {cost.dtype}.")
        if cost.device != num_targets.device:
            raise ValueError(
                f"num_targets is on {num_targets.device}, but a cost on {cost.device}."
            )
        images = len(num_targets)
        if len(cost) % images if images else len(cost):
            raise ValueError(
                f"{len(cost)} problems cannot belong to {images} images in equal parts."
            )


def _check_counts(counts: np.ndarray, shape: torch.Size, problems: int) -> None:
    if problems and (counts.min() < 0 or counts.max() > shape[1]):
        image = int(np.argmax((counts < 0) | (counts > shape[1])))
        raise ValueError(
            f"num_targets[{image}] is {counts[image]}, but a cost {tuple(shape)} has {shape[1]}."
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
