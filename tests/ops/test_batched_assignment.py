import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from hdetr_d2.ops import batched_assignment

INF, NAN = math.inf, math.nan


def solve(cost: list, targets: int | None = None, capacity: int = 1) -> list[int]:
    """One problem, one image."""
    matrix = torch.tensor([cost], dtype=torch.float32)
    count = torch.tensor([matrix.shape[1] if targets is None else targets])
    return batched_assignment(matrix, count, capacity)[0].tolist()


def value(cost: np.ndarray, answer: np.ndarray) -> tuple[int, float]:
    """Pairs made, negated, and their cost: the smaller the better, pairs first."""
    pairs = [(target, query) for query, target in enumerate(answer) if target >= 0]
    return -len(pairs), sum(float(cost[pair]) for pair in pairs)


def best_by_trying(cost: np.ndarray, capacity: int) -> tuple[int, float]:
    """The best value over every way to give each query a target or none."""
    targets, queries = cost.shape
    best = (0, 0.0)
    for answer in itertools.product(range(-1, targets), repeat=queries):
        if all(answer.count(target) <= capacity for target in range(targets)):
            pairs = [(t, q) for q, t in enumerate(answer) if t >= 0]
            if all(abs(cost[pair]) < 1e30 for pair in pairs):
                best = min(best, value(cost, np.array(answer)))
    return best


def test_the_dearer_pair_may_be_right_for_one_target():
    # Query 0 is best for both; target 1 loses more by giving it up.
    assert solve([[1, 2, 9], [1, 8, 9]]) == [1, 0, -1]


def test_a_target_takes_its_capacity_while_queries_suffice():
    assert solve([[0, 1, 2, 3, 9], [9, 9, 2, 0, 0]], capacity=2) == [0, 0, -1, 1, 1]


def test_too_few_queries_make_the_cheapest_pairs():
    # Three queries for two targets that want two each: the pair left out is the dearest.
    assert solve([[0, 0, 5], [7, 6, 1]], capacity=2) == [0, 0, 1]


def test_more_targets_than_queries():
    assert solve([[5, 5], [1, 9], [9, 2]]) == [1, 2]


def test_rows_beyond_the_number_of_targets_are_padding():
    assert solve([[3, 1], [0, 0]], targets=1) == [-1, 0]
    assert solve([[3, 1], [NAN, NAN]], targets=0) == [-1, -1]


def test_a_problem_belongs_to_its_image():
    cost = torch.tensor([[[1.0, 2.0], [2.0, 1.0]]] * 4)  # two layers of two images
    answer = batched_assignment(cost, torch.tensor([2, 1]))
    assert answer.tolist() == [[0, 1], [0, -1], [0, 1], [0, -1]]
    assert answer.dtype == torch.int64


def test_a_list_has_its_own_capacities():
    first, second = torch.tensor([[[3.0, 1.0, 2.0]]]), torch.tensor([[[1.0, 2.0]], [[2.0, 1.0]]])
    answers = batched_assignment([first, second, second], torch.tensor([1]), [2, 1, 2])
    assert [a.tolist() for a in answers] == [[[-1, 0, 0]], [[0, -1], [-1, 0]], [[0, 0], [0, 0]]]
    assert batched_assignment([], torch.tensor([1])) == []


@pytest.mark.parametrize("shape", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 0, 0)])
def test_nothing_to_assign(shape: tuple[int, int, int]):
    answer = batched_assignment(torch.zeros(shape), torch.tensor([min(shape[1], 3)]), 2)
    assert answer.shape == (shape[0], shape[2])
    assert (answer == -1).all()


def test_no_image_has_no_problem():
    assert batched_assignment(torch.zeros(0, 3, 4), torch.zeros(0, dtype=torch.int64)).shape == (
        0,
        4,
    )


@pytest.mark.parametrize("never", [INF, -INF, NAN, 1.1e30, -2e30])
def test_a_forbidden_pair_is_never_made(never: float):
    assert solve([[never, 5.0], [never, 1.0]]) == [-1, 1]
    assert solve([[never, never], [2.0, 1.0]]) == [-1, 1]
    assert solve([[never, 3.0], [never, never]], capacity=2) == [-1, 0]
    assert solve([[never, never]]) == [-1, -1]


def test_a_pair_more_is_worth_any_cost():
    # Target 1 can only take query 0, so target 0 goes to its far dearer second choice.
    assert solve([[0.0, 1e30], [0.0, INF]]) == [1, 0]
    assert solve([[-1e30, 1e30], [1e30, NAN]]) == [1, 0]


def test_costs_up_to_the_largest_are_allowed():
    assert solve([[1e30, -1e30]]) == [-1, 0]
    assert solve([[1e-30, 2e-30], [1e-30, 9e-30]]) == [1, 0]


def test_equal_costs_give_an_answer_and_always_the_same():
    cost = torch.zeros(3, 4, 6)
    first = batched_assignment(cost, torch.tensor([4]))
    for row in first.tolist():
        assert sorted(row) == [-1, -1, 0, 1, 2, 3]
    assert torch.equal(first, batched_assignment(cost.clone(), torch.tensor([4])))


@pytest.mark.parametrize("capacity", [1, 2, 3])
@pytest.mark.parametrize("forbidden", [0.0, 0.3, 0.7])
def test_against_every_possible_answer(capacity: int, forbidden: float):
    generator = np.random.default_rng(capacity)
    for _ in range(40):
        targets, queries = generator.integers(1, 4), generator.integers(1, 6)
        # Small integers: many ties.
        cost = generator.integers(-3, 4, (targets, queries)).astype(np.float32)
        cost[generator.random(cost.shape) < forbidden] = generator.choice([INF, -INF, NAN])
        answer = batched_assignment(torch.tensor(cost[None]), torch.tensor([targets]), capacity)[0]
        assert max(np.bincount(answer[answer >= 0].numpy(), minlength=1)) <= capacity
        assert value(cost, answer.numpy()) == best_by_trying(cost, capacity)


@pytest.mark.parametrize("capacity", [1, 6])
@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_against_repeated_targets(capacity: int, scale: float):
    cost = torch.randn(4, 5, 21) * scale  # 6 x 5 > 21: not all can be served
    answers = batched_assignment(cost, torch.tensor([5, 2]), capacity)
    for problem, answer in enumerate(answers):
        matrix = cost[problem, : 5 if problem % 2 == 0 else 2].double().numpy()
        repeated = np.repeat(matrix, capacity, 0)
        rows, columns = linear_sum_assignment(repeated)
        pairs, total = value(matrix, answer.numpy())
        assert pairs == -len(rows)
        assert total == pytest.approx(repeated[rows, columns].sum(), rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions_and_strides(dtype: torch.dtype):
    cost = torch.tensor([[[1, 1], [2, 8], [9, 9]]], dtype=dtype, requires_grad=True).transpose(1, 2)
    counts = torch.tensor([2], dtype=torch.int32)
    assert batched_assignment(cost, counts).tolist() == [[1, 0, -1]]


@pytest.mark.parametrize(
    ("cost", "counts", "capacity", "error", "sentence"),
    [
        (torch.zeros(2, 3), [1], 1, ValueError, r"Tensor\[P, G, Q\]"),
        (torch.zeros(3, 2, 2), [1, 1], 1, ValueError, "3 problems cannot belong to 2 images"),
        (torch.zeros(1, 2, 2), [], 1, ValueError, "1 problems cannot belong to 0 images"),
        (torch.zeros(2, 2, 2), [1, 3], 1, ValueError, r"num_targets\[1\] is 3"),
        (torch.zeros(2, 2, 2), [-1, 1], 1, ValueError, r"num_targets\[0\] is -1"),
        (torch.zeros(1, 2, 2), [[1]], 1, ValueError, r"num_targets must be Tensor\[B\]"),
        (torch.zeros(1, 2, 2), [1], 0, ValueError, "at least 1, not 0"),
        ([torch.zeros(1, 2, 2)], [1], [1, 2], ValueError, "2 capacities were given for 1 cost"),
        (torch.zeros(1, 2, 2, dtype=torch.int64), [1], 1, TypeError, "floating"),
        (torch.zeros(1, 2, 2), [1.0], 1, TypeError, "integers"),
    ],
)
def test_what_does_not_fit_is_told(
    cost: Tensor | list[Tensor], counts: list, capacity: int | list[int], error: type, sentence: str
):
    counts = torch.tensor(counts) if counts else torch.zeros(0, dtype=torch.int64)
    with pytest.raises(error, match=sentence):
        batched_assignment(cost, counts, capacity)


@pytest.mark.needs_cuda
def test_a_gpu_gives_the_same():
    costs = [torch.randn(4, 3, 9), torch.randn(2, 3, 30)]
    counts = torch.tensor([3, 2])
    here = batched_assignment(costs, counts, [1, 4])
    there = batched_assignment([cost.cuda() for cost in costs], counts.cuda(), [1, 4])
    for one, other in zip(here, there, strict=True):
        assert other.is_cuda
        assert torch.equal(one, other.cpu())
