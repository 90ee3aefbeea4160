"""The kernels of the batched assignment against their twin, and PyTorch's own checks of the op."""

import hdetr_d2  # noqa: F401

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from hdetr_d2.ops import batched_assignment, batched_assignment_reference, extension

sys.path.insert(0, str(Path(__file__).parent))
from assignment_problems import FAMILIES, check_answer, step

pytestmark = pytest.mark.skipif(
    bool(extension.why_no_kernel("batched_assignment", torch.device("cpu"))),
    reason=extension.why_no_kernel("batched_assignment", torch.device("cpu")) or "built",
)


@pytest.mark.parametrize("family", FAMILIES)
def test_as_good_as_the_twin(family) -> None:
    rng = np.random.default_rng(FAMILIES.index(family))
    for most_rows, most_queries in [(4, 6), (9, 30), (30, 120)] * 20:
        rows, queries = int(rng.integers(1, most_rows)), int(rng.integers(1, most_queries))
        capacity = int(rng.integers(1, 5))
        counts = torch.from_numpy(rng.integers(0, rows + 1, 2))
        cost = torch.from_numpy(family(rng, (4, rows, queries)).astype(np.float32))
        (answer,) = torch.ops.hdetr_d2.batched_assignment([cost], counts, [capacity])
        (twin,) = batched_assignment_reference([cost], counts, [capacity])
        for p in range(len(cost)):
            matrix = cost[p, : counts[p % 2]].numpy()
            check_answer(matrix, answer[p].numpy(), twin[p].numpy(), capacity)


@pytest.mark.parametrize("family", FAMILIES)
def test_long_searches(family) -> None:
    """Hardly more queries than are wanted: targets take them from one another."""
    rng = np.random.default_rng(FAMILIES.index(family))
    for rows, queries, capacity in [(40, 40, 1), (30, 64, 2), (25, 100, 4)] * 5:
        cost = torch.from_numpy(family(rng, (2, rows, queries)).astype(np.float32))
        counts = torch.tensor([rows, rows])
        (answer,) = torch.ops.hdetr_d2.batched_assignment([cost], counts, [capacity])
        (twin,) = batched_assignment_reference([cost], counts, [capacity])
        for p in range(2):
            check_answer(cost[p].numpy(), answer[p].numpy(), twin[p].numpy(), capacity)


def test_equal_costs_go_to_the_first_queries() -> None:
    answer = batched_assignment(torch.zeros(1, 3, 8), torch.tensor([3]), 2)
    assert answer.tolist() == [[0, 0, 1, 1, 2, 2, -1, -1]]


def test_any_number_of_threads_gives_the_same() -> None:
    costs, counts, capacities = step(targets=100)
    before = torch.get_num_threads()
    answers = []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            answers.append(batched_assignment(costs, counts, capacities))
    finally:
        torch.set_num_threads(before)
    for others in answers[1:]:
        assert all(map(torch.equal, answers[0], others))


def test_non_contiguous() -> None:
    cost = torch.rand(2, 30, 7).transpose(1, 2)
    counts = torch.tensor([[7, 0], [5, 0]])[:, 0]
    expected = batched_assignment(cost.contiguous(), counts.contiguous(), 2)
    assert torch.equal(batched_assignment(cost, counts, 2), expected)


@pytest.mark.filterwarnings("default")
def test_scipy_answers_without_kernels_after_one_warning(without_kernels) -> None:
    costs, counts, capacities = step()
    with pytest.warns(UserWarning, match="by SciPy on the host, much slower: They are not built"):
        answers = batched_assignment(costs, counts, capacities)
    twins = batched_assignment_reference(costs, counts, capacities)
    assert all(map(torch.equal, answers, twins))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batched_assignment(costs, counts, capacities)


def test_opcheck() -> None:
    costs, counts, capacities = step()
    torch.library.opcheck(torch.ops.hdetr_d2.batched_assignment, (costs, counts, capacities))


@pytest.mark.usefixtures("forget_graphs")
def test_one_graph() -> None:
    costs, counts, capacities = step()
    compiled = torch.compile(batched_assignment, fullgraph=True, backend="eager")
    answers = compiled(costs, counts, capacities)
    assert all(map(torch.equal, answers, batched_assignment(costs, counts, capacities)))


def test_a_fake_step_needs_no_numbers() -> None:
    costs, counts, capacities = step()
    with torch._subclasses.FakeTensorMode() as mode:
        fake = [mode.from_tensor(cost) for cost in costs]
        answers = batched_assignment(fake, mode.from_tensor(counts), capacities)
    assert [a.shape for a in answers] == [(12, 60), (12, 300), (2, 2000)]


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(costs=[torch.zeros(2, 3, 4, dtype=torch.float64)]), "float32"),
        (dict(costs=[torch.zeros(3, 4)]), r"must be \[P, G, Q\]"),
        (dict(costs=[torch.zeros(3, 3, 4)]), "3 problems cannot belong to 2 images"),
        (dict(counts=torch.tensor([1, 4])), r"num_targets\[1\] is 4, but a cost has 3 rows"),
        (dict(counts=torch.tensor([-1, 1])), r"num_targets\[0\] is -1"),
        (dict(counts=torch.tensor([1, 1], dtype=torch.int32)), "int64"),
        (dict(capacities=[0]), "at least 1, not 0"),
        (dict(capacities=[1, 1]), "2 capacities were given for 1 costs"),
    ],
)
def test_the_op_checks_what_it_is_given(change: dict, message: str) -> None:
    given = dict(costs=[torch.zeros(2, 3, 4)], counts=torch.tensor([1, 3]), capacities=[1])
    given |= change
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.batched_assignment(*given.values())
