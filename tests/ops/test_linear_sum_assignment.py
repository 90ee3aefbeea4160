"""The list form against SciPy, matrix by matrix."""

import numpy as np
import pytest
import scipy.optimize
import torch

from hdetr_d2.ops import linear_sum_assignment

SIZES = [
    (3, 5),
    (5, 3),
    (4, 4),
    (1, 7),
    (7, 1),
    (30, 300),
    (300, 30),
    (0, 4),
    (4, 0),
    (0, 0),
    (2, 5),
]


def matrices() -> list[torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    return [torch.rand(size, generator=rng) for size in SIZES]


@pytest.mark.parametrize("maximize", [False, True])
def test_as_scipy(maximize: bool) -> None:
    costs = matrices()
    for cost, (rows, columns) in zip(costs, linear_sum_assignment(costs, maximize), strict=True):
        wanted = scipy.optimize.linear_sum_assignment(cost.numpy(), maximize)
        assert (rows.tolist(), columns.tolist()) == tuple(each.tolist() for each in wanted)
        assert rows.dtype == columns.dtype == torch.int64


@pytest.mark.parametrize("maximize", [False, True])
def test_whole_numbers(maximize: bool) -> None:
    cost = torch.tensor([[4, 1, 3], [2, 0, 5]], dtype=torch.uint8)
    ((rows, columns),) = linear_sum_assignment([cost], maximize)
    wanted = scipy.optimize.linear_sum_assignment(cost.numpy(), maximize)
    assert (rows.tolist(), columns.tolist()) == tuple(each.tolist() for each in wanted)


def test_by_hand() -> None:
    cost = torch.tensor([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]])
    ((rows, columns),) = linear_sum_assignment([cost])
    assert (rows.tolist(), columns.tolist()) == ([0, 1, 2], [1, 0, 2])


def test_arrays_of_numpy() -> None:
    cost = np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0], [3.0, 2.0, 2.0]])
    for (rows, columns), given in zip(
        linear_sum_assignment([cost, cost[::-1].astype(np.int64), torch.from_numpy(cost)]),
        [cost, cost[::-1], cost],
        strict=True,
    ):
        wanted = scipy.optimize.linear_sum_assignment(given)
        assert (rows.tolist(), columns.tolist()) == tuple(each.tolist() for each in wanted)
        assert rows.dtype == columns.dtype == torch.int64


def test_forbidden_pairs_are_left_out() -> None:
    cost = torch.tensor([[torch.inf, 1.0], [torch.nan, 2.0]])
    ((rows, columns),) = linear_sum_assignment([cost])
    assert (rows.tolist(), columns.tolist()) == ([0], [1])


def test_nothing_and_what_is_no_matrix() -> None:
    assert linear_sum_assignment([]) == []
    with pytest.raises(ValueError, match=r"must be Tensor\[N, M\], not of shape \(2, 2, 2\)"):
        linear_sum_assignment([torch.zeros(2, 2, 2)])
