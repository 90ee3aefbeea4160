"""The kernels of the batched assignment on CUDA: the indices of the CPU kernels for any costs."""

import hdetr_d2  # noqa: F401

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import batched_assignment, extension

sys.path.insert(0, str(Path(__file__).parent))
from assignment_problems import FAMILIES, step

DEVICE = torch.device("cuda")
pytestmark = pytest.mark.needs_cuda


@pytest.fixture(autouse=True)
def kernels() -> None:
    reason = extension.why_no_kernel("batched_assignment", DEVICE)
    if reason:
        pytest.skip(reason)


def assert_same_as_on_cpu(costs: list[Tensor], counts: Tensor, capacities: list[int]) -> None:
    expected = batched_assignment(costs, counts, capacities)
    on_device = [cost.to(DEVICE) for cost in costs]
    answers = batched_assignment(on_device, counts.to(DEVICE), capacities)
    for answer, same in zip(answers, expected, strict=True):
        assert torch.equal(answer.cpu(), same)


@pytest.mark.parametrize("family", FAMILIES)
def test_same_as_on_cpu(family: Callable) -> None:
    rng = np.random.default_rng(FAMILIES.index(family))
    for most_rows, most_queries in [(9, 30), (30, 120), (120, 400)] * 10:
        rows, queries = int(rng.integers(1, most_rows)), int(rng.integers(1, most_queries))
        counts = torch.from_numpy(rng.integers(0, rows + 1, 2))
        costs = [
            torch.from_numpy(family(rng, (problems, rows, q)).astype(np.float32))
            for problems, q in ((4, queries), (2, 2 * queries), (2, 4000))
        ]
        assert_same_as_on_cpu(costs, counts, [int(rng.integers(1, 5)), 6, 1])


def test_a_step() -> None:
    assert_same_as_on_cpu(*step(targets=100))


@pytest.mark.parametrize("capacity", [1, 6])
def test_the_largest(capacity: int) -> None:
    cost = torch.rand(1, 600, 25_000, generator=torch.Generator().manual_seed(0))
    assert_same_as_on_cpu([cost], torch.tensor([600]), [capacity])


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_empty(shape: tuple[int, int, int]) -> None:
    assert_same_as_on_cpu([torch.zeros(shape)], torch.tensor([0, min(shape[1], 1)]), [2])


def test_more_groups_than_one_launch_takes() -> None:
    costs = [torch.rand(2, 3, 10 + i) for i in range(70)]
    assert_same_as_on_cpu(costs, torch.tensor([3, 1]), [1 + i % 3 for i in range(70)])


@pytest.fixture
def no_waiting() -> Iterator[None]:
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


def on_device(targets: int = 20) -> tuple[list[Tensor], Tensor, list[int]]:
    costs, counts, capacities = step(targets=targets)
    return [cost.to(DEVICE) for cost in costs], counts.to(DEVICE), capacities


def test_the_host_does_not_wait(request: pytest.FixtureRequest) -> None:
    given = on_device()
    request.getfixturevalue("no_waiting")
    batched_assignment(*given)


def test_every_run_gives_the_same() -> None:
    given = on_device(targets=100)
    first = batched_assignment(*given)
    for _ in range(20):
        assert all(map(torch.equal, first, batched_assignment(*given)))


def test_in_a_cuda_graph() -> None:
    costs, counts, capacities = on_device()
    batched_assignment(costs, counts, capacities)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answers = batched_assignment(costs, counts, capacities)
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        for cost in costs:
            cost.copy_(torch.rand(cost.shape, generator=generator))
        counts.copy_(torch.tensor([seed, 20 - seed]))
        graph.replay()
        assert all(map(torch.equal, answers, batched_assignment(costs, counts, capacities)))
