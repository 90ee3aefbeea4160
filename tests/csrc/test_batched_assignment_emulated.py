"""The CUDA kernels of the batched assignment on the CPU: the same answers as the CPU kernels', to
the index."""

import hdetr_d2  # noqa: F401

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import batched_assignment, extension

sys.path.insert(0, str(Path(__file__).parent))
from guarded import assert_unharmed, guarded

pytestmark = pytest.mark.skipif(
    bool(extension.why_no_kernel("batched_assignment", torch.device("cpu"))),
    reason=extension.why_no_kernel("batched_assignment", torch.device("cpu")) or "built",
)


class Entry(ctypes.Structure):
    """`AssignmentEntry` of batched_assignment_cuda.h."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("costs", "answer")),
        *((name, ctypes.c_int32) for name in ("problems", "rows", "queries", "capacity")),
    ]


@pytest.fixture(scope="module")
def kernels(emulate: Callable[[str], ctypes.CDLL]) -> ctypes.CDLL:
    library = emulate("batched_assignment")
    library.workspace_bytes.restype = ctypes.c_int64
    return library


def solve(
    kernels: ctypes.CDLL, costs: list[Tensor], counts: Tensor, capacities: list[int], seed: int = 0
) -> list[Tensor]:
    costs = [guarded(cost) for cost in costs]
    answers = [guarded(cost.new_full((cost.shape[0], cost.shape[2]), -7).long()) for cost in costs]
    entries = (Entry * len(costs))(
        *(
            Entry(cost.data_ptr(), answer.data_ptr(), *cost.shape, capacity)
            for cost, answer, capacity in zip(costs, answers, capacities, strict=True)
        )
    )
    size, images = ctypes.c_int64(len(costs)), ctypes.c_int64(len(counts))
    # Full of garbage, as it is on a device.
    words = kernels.workspace_bytes(entries, size) // 8 + 1
    workspace, counts = guarded(torch.full((words,), 0x5555555555555555)), guarded(counts)
    given, scratch = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (counts, workspace))
    assert kernels.solve(entries, size, given, images, scratch, ctypes.c_uint64(seed)) == 0
    for tensor in (*answers, workspace):
        assert_unharmed(tensor)
    return answers


def assert_same_as_on_cpu(kernels, costs, counts, capacities, seed: int = 0) -> None:
    answers = solve(kernels, costs, counts, capacities, seed)
    expected = batched_assignment(costs, counts, capacities)
    for answer, same in zip(answers, expected, strict=True):
        assert torch.equal(answer, same)


def boxes(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=rng)


def integers(rng: torch.Generator, *shape: int) -> Tensor:
    return (
        torch.randint(-1, 3, shape, generator=rng).float()
        * torch.tensor([-0.0, 1.0])[torch.randint(0, 2, shape, generator=rng)]
    )


def equal(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.ones(shape)


def equal_rows(rng: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape[0], 1, shape[2], generator=rng).expand(shape).contiguous()


def huge(rng: torch.Generator, *shape: int) -> Tensor:
    return (2 * torch.rand(shape, generator=rng) - 1) * 1e30


def forbidden(rng: torch.Generator, *shape: int) -> Tensor:
    never = torch.tensor([torch.nan, torch.inf, -torch.inf, 2e30])
    chosen = never[torch.randint(0, 4, shape, generator=rng)]
    return torch.where(torch.rand(shape, generator=rng) < 0.6, chosen, huge(rng, *shape))


FAMILIES = [boxes, integers, equal, equal_rows, huge, forbidden]


@pytest.mark.parametrize("family", FAMILIES)
def test_same_as_on_cpu(kernels: ctypes.CDLL, family: Callable) -> None:
    rng = torch.Generator().manual_seed(FAMILIES.index(family))
    for seed in range(4):
        rows, queries, capacity = (
            int(torch.randint(1, most, (), generator=rng)) for most in (9, 50, 4)
        )
        counts = torch.randint(0, rows + 1, (2,), generator=rng)
        costs = [family(rng, 2, rows, queries), family(rng, 4, rows, 7)]
        assert_same_as_on_cpu(kernels, costs, counts, [capacity, 1], seed)


@pytest.mark.parametrize("family", FAMILIES)
def test_long_searches(kernels: ctypes.CDLL, family: Callable) -> None:
    """Hardly more queries than are wanted: targets take them from one another."""
    rng = torch.Generator().manual_seed(FAMILIES.index(family))
    for seed, (rows, queries, capacity) in enumerate([(18, 18, 1), (16, 33, 2), (9, 37, 4)]):
        costs = [family(rng, 1, rows, queries)]
        assert_same_as_on_cpu(kernels, costs, torch.tensor([rows]), [capacity], seed)


@pytest.mark.parametrize("family", [boxes, equal_rows, forbidden])
def test_wide_rows_beside_many_pairs(kernels: ctypes.CDLL, family: Callable) -> None:
    """More warps read the rows, and a block solves what a warp would take long for."""
    rng = torch.Generator().manual_seed(FAMILIES.index(family))
    costs = [family(rng, 1, 4, 4200), family(rng, 1, 4, 300)]
    assert_same_as_on_cpu(kernels, costs, torch.tensor([4]), [3, 65])


@pytest.mark.parametrize("queries, capacity", [(1600, 6), (5200, 6), (5200, 65)])
def test_the_cheapest_columns_belong_to_one_thread(
    kernels: ctypes.CDLL, queries: int, capacity: int
) -> None:
    """Whichever number of threads has them: it runs dry, and all look at the row once more."""
    rng = torch.Generator().manual_seed(0)
    cost = torch.randint(4, (1, 3, queries), generator=rng) + 9.0 * (
        torch.arange(queries) % 512 > 0
    )
    assert_same_as_on_cpu(kernels, [cost], torch.tensor([3]), [capacity])


@pytest.mark.parametrize("family", [boxes, equal_rows])
def test_global_memory_where_there_is_too_little_shared(
    kernels: ctypes.CDLL, family: Callable
) -> None:
    rng = torch.Generator().manual_seed(0)
    costs = [family(rng, 1, 5, 400_000)]
    assert_same_as_on_cpu(kernels, costs, torch.tensor([5]), [3])


def test_shared_memory_where_only_more_targets_would_need_more(kernels: ctypes.CDLL) -> None:
    rng = torch.Generator().manual_seed(0)
    costs = [boxes(rng, 4, 200, 40), boxes(rng, 2, 200, 30)]
    assert_same_as_on_cpu(kernels, costs, torch.tensor([2, 3]), [12, 1])


@pytest.mark.parametrize("capacity, room", [(1, 300), (6, 300), (6, 45)])
@pytest.mark.parametrize("sharing", [0, 1, 5, 40])
def test_targets_that_want_queries_of_their_own_beside_those_that_share(
    kernels: ctypes.CDLL, sharing: int, capacity: int, room: int
) -> None:
    """The former start all at once, the others one after the other; by a warp, and by a block."""
    rng = torch.Generator().manual_seed(sharing)
    costs = torch.rand(2, 40, 300, generator=rng)
    for target in range(40):
        first = (7 * target) % room  # of 300 queries, of which 40 x 6 have a target of their own
        costs[:, target, first : first + 6] -= 2 + torch.rand(6, generator=rng)
    shared = torch.randperm(40, generator=rng)[:sharing]
    costs[:, shared] = costs[:, shared[:1]]
    counts = torch.tensor([40, 33])
    assert_same_as_on_cpu(kernels, [costs], counts, [capacity], sharing)
    assert_same_as_on_cpu(kernels, [costs, costs[:, :4]], counts.clamp(max=4), [capacity, 1])


def test_more_targets_than_queries(kernels: ctypes.CDLL) -> None:
    rng = torch.Generator().manual_seed(0)
    assert_same_as_on_cpu(kernels, [boxes(rng, 2, 30, 7)], torch.tensor([30, 8]), [3])


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0)])
def test_empty(kernels: ctypes.CDLL, shape: tuple[int, int, int]) -> None:
    counts = torch.tensor([0, min(shape[1], 1)])
    assert_same_as_on_cpu(kernels, [torch.zeros(shape)], counts, [2])


def test_a_count_out_of_range_is_kept_within_it(kernels: ctypes.CDLL) -> None:
    costs = [torch.rand(2, 3, 5)]
    (answer,) = solve(kernels, costs, torch.tensor([99, -1]), [1])
    (expected,) = batched_assignment(costs, torch.tensor([3, 0]), [1])
    assert torch.equal(answer, expected)


def test_no_order_of_threads_changes_the_answer(kernels: ctypes.CDLL) -> None:
    costs = [torch.zeros(1, 4, 40), torch.ones(1, 4, 2100)]
    answers = [solve(kernels, costs, torch.tensor([4]), [2, 2], seed) for seed in range(4)]
    for others in answers[1:]:
        assert all(map(torch.equal, answers[0], others))
