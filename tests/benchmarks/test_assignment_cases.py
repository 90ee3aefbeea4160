"""The costs that are drawn, and the peers' answers to them."""

import sys

import numpy as np
import pytest
import torch
from assignment_cases import CASES, IMAGES, KINDS, Case, Group, Problems, draw, trained
from assignment_peers import BATCHED, OURS_ON_HOST, SCIPY, discover, on_host, scipy_loop

PROBLEMS = Problems([torch.tensor([[[1.0, 2, 3], [4, 0, 6]]])], torch.tensor([2]), [2])


@pytest.mark.parametrize("kind", KINDS)
def test_costs_of_a_kind_are_finite_and_equal_in_every_draw(kind: str) -> None:
    case = Case((Group(2, 12, 1), Group(1, 20, 2)))
    problems = draw(case, kind, 3, "cpu")
    assert [tuple(cost.shape) for cost in problems.costs] == [(4, 3, 12), (2, 3, 20)]
    for cost, again in zip(problems.costs, draw(case, kind, 3, "cpu").costs, strict=True):
        assert cost.isfinite().all()
        assert torch.equal(cost, again)
    assert problems.counts.tolist() == [3] * IMAGES


def test_a_query_near_a_target_is_told() -> None:
    boxes = torch.tensor([[[0.3, 0.3, 0.2, 0.2], [0.7, 0.7, 0.2, 0.2]]])
    predicted, near = trained(boxes, 500, torch.Generator().manual_seed(0))
    assert predicted.shape == (1, 500, 4)
    assert near.unique().tolist() == [-1, 0, 1]
    for target in (0, 1):
        assert (predicted[near == target] - boxes[0, target]).abs().max() < 0.12


def test_a_target_is_repeated_for_every_query_it_takes() -> None:
    (repeated,) = PROBLEMS.repeated()
    assert repeated.tolist() == [[[1, 2, 3], [4, 0, 6], [1, 2, 3], [4, 0, 6]]]
    (matrix,) = on_host(PROBLEMS)
    np.testing.assert_array_equal(matrix, repeated[0].T)
    ((queries, columns),) = scipy_loop(PROBLEMS)()
    assert sorted(zip(queries.tolist(), (columns % 2).tolist(), strict=True)) == [
        (0, 0),
        (1, 1),
        (2, 0),
    ]


def test_the_shapes_of_torch_linear_assignment() -> None:
    shapes = []
    for name, case in CASES.items():
        if name.startswith("batch208"):
            (group,) = case.groups
            shapes.append((group.layers * IMAGES, group.queries, case.targets))
    assert shapes == [(208, 300, 100), (208, 300, 300), (208, 600, 300)]


def test_a_peer_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_linear_assignment", None)
    found, absent = discover("cuda")
    assert {SCIPY, OURS_ON_HOST} <= set(found)
    assert any(line.startswith(f"{BATCHED}: not installed (") for line in absent)
    assert OURS_ON_HOST not in discover("cpu")[0]


def test_our_kernels_on_the_host_answer_on_the_device() -> None:
    (answer,) = discover("cuda")[0][OURS_ON_HOST](PROBLEMS)()
    assert answer.tolist() == [[0, 1, 0]]
