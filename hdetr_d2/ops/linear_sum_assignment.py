"""SciPy's `linear_sum_assignment` for many matrices at once."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from hdetr_d2.ops.arguments import check_tensors
from hdetr_d2.ops.batched_assignment import batched_assignment
from hdetr_d2.ops.derivative import refuse_vmap


def linear_sum_assignment(
    costs: Sequence[Tensor | np.ndarray], maximize: bool = False
) -> list[tuple[Tensor, Tensor]]:
    """The cheapest assignment of rows to columns for each matrix; each row and column is used at
    most once.

    Replaces a loop over `scipy.optimize.linear_sum_assignment`: matrices of equal width (the longer
    side) are solved in one call of `batched_assignment`. Pairs with a cost that is not finite are
    left out, where SciPy raises. Waits for the device, because the number of pairs is not known
    before.

    Args:
        costs: `Tensor[N, M]` or NumPy arrays, of any sizes, converted to float32.
        maximize: find the most expensive assignment instead.

    Returns:
        For each matrix, the rows in ascending order and their columns: `Tensor[K]` int64, on its
        device.

    Raises:
        ValueError: an argument is not a matrix, or is one matrix instead of a list.
        TypeError: an argument is neither a tensor nor an array, or complex.
        RuntimeError: called within `torch.vmap`.
    """
    matrices = _matrices(costs)
    refuse_vmap("linear_sum_assignment", matrices)
    for cost in matrices:
        if cost.dim() != 2:
            raise ValueError(f"A cost must be Tensor[N, M], not of shape {tuple(cost.shape)}.")
        if cost.is_complex():
            raise TypeError(f"A cost must be real, not {cost.dtype}.")
    # Targets are the shorter side, which the solver iterates over.
    wide = [cost if cost.shape[0] <= cost.shape[1] else cost.T for cost in matrices]
    by_width = defaultdict(list)
    for index, cost in enumerate(wide):
        by_width[cost.shape[1], cost.device].append(index)
    answers: dict[int, Tensor] = {}
    for indices in by_width.values():
        exact = [wide[i].float() for i in indices]
        solved = _solve([-cost for cost in exact] if maximize else exact)
        answers.update(zip(indices, solved, strict=True))
    return [_pairs(answers[i], transposed=wide[i] is not cost) for i, cost in enumerate(matrices)]


def _matrices(costs: Sequence[Tensor | np.ndarray]) -> list[Tensor]:
    if not isinstance(costs, Iterable):
        raise TypeError(f"costs must be a list of matrices, not {type(costs).__name__}.")
    if isinstance(costs, Tensor | np.ndarray) and costs.ndim == 2:
        raise ValueError("costs must be a list of matrices: for one, write [cost].")
    # Copied into C order: PyTorch does not support negative strides.
    matrices = [
        torch.tensor(cost.copy(), device="cpu") if isinstance(cost, np.ndarray) else cost
        for cost in costs
    ]
    check_tensors(**{f"costs[{index}]": each for index, each in enumerate(matrices)})
    return matrices


def _solve(costs: Sequence[Tensor]) -> Tensor:
    """Solves matrices `[G, Q]` of one width: `Tensor[P, Q]`, the row of each column or -1."""
    counts = torch.tensor([len(cost) for cost in costs], device=costs[0].device)
    return batched_assignment(pad_sequence(list(costs), batch_first=True), counts)


def _pairs(answer: Tensor, transposed: bool) -> tuple[Tensor, Tensor]:
    columns = (answer >= 0).nonzero().squeeze(1)
    rows = answer[columns]
    if transposed:
        return columns, rows
    order = rows.argsort()
    return rows[order], columns[order]
