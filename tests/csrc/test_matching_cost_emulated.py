"""The CUDA kernel of the matching cost, emulated, against the twin."""

import hdetr_d2  # noqa: F401

import ctypes
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import CostWeights, FocalCost, SoftmaxCost, matching_cost_reference

sys.path.insert(0, str(Path(__file__).parent))
from guarded import assert_unharmed, guarded

WEIGHTS = CostWeights(2.0, 5.0, 2.0)
COSTS = [FocalCost(), FocalCost(0.6, 1.5), FocalCost(gamma=0.0), SoftmaxCost()]
STRANGE = torch.tensor([torch.nan, torch.inf, -torch.inf])
# As in `enum Type`; no doubles.
TYPES = {torch.float32: 0, torch.float16: 2, torch.bfloat16: 3}


class Call(ctypes.Structure):
    """The same fields in matching_cost_driver.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("problems", "queries", "classes", "images")),
        ("targets", ctypes.c_int64),
        *((name, ctypes.c_int32) for name in ("form", "type")),
        *((name, ctypes.c_float) for name in ("alpha", "gamma", "w_classes", "w_bbox", "w_giou")),
        *((name, ctypes.c_int32) for name in ("threads", "blocks")),
        ("seed", ctypes.c_uint64),
    ]


@dataclass(frozen=True)
class Cut:
    """How the launch is cut, and the seed of the order in which blocks and threads run."""

    threads: int = 64
    blocks: int = 1 << 30
    seed: int = 0


@pytest.fixture(scope="session")
def kernel(emulate: Callable[[str], ctypes.CDLL]) -> Callable:
    return emulate("matching_cost").matching_cost


def draw(
    problems: int = 4,
    queries: int = 70,
    classes: int = 11,
    targets: int = 19,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, ...]:
    """Tensors of the op, of two images."""
    logits, boxes = 4 * torch.randn(problems, queries, classes), torch.rand(problems, queries, 4)
    labels, target_boxes = torch.randint(classes, (2, targets)), torch.rand(2, targets, 4)
    labels[:, 2:5] = labels[:, 1:2]  # equal ones follow each other
    return logits.to(dtype), boxes, labels, target_boxes, torch.tensor([targets, targets // 2])


def run(kernel: Callable, inputs: tuple[Tensor, ...], class_cost, cut: Cut = Cut()) -> list[Tensor]:
    """Cost and counts, from tensors that are surrounded by what must not be touched."""
    logits, labels = inputs[0], inputs[2]
    form = (0.0, 0.0) if isinstance(class_cost, SoftmaxCost) else astuple(class_cost)
    call = Call(
        *logits.shape,
        *labels.shape,
        isinstance(class_cost, SoftmaxCost),
        TYPES[logits.dtype],
        *form,
        *astuple(WEIGHTS),
        *astuple(cut),
    )
    cost = guarded(torch.full((len(logits), labels.shape[1], logits.shape[1]), 7.0))
    nonfinite = guarded(torch.zeros(len(logits), 3, dtype=torch.int64))
    given = [guarded(tensor) for tensor in inputs]
    pointers = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (*given, cost, nonfinite))
    assert kernel(ctypes.byref(call), *pointers) == 0
    for result in (cost, nonfinite):
        assert_unharmed(result)
    return [cost, nonfinite]


def check(kernel: Callable, inputs: tuple[Tensor, ...], class_cost, cut: Cut = Cut()) -> None:
    cost, nonfinite = run(kernel, inputs, class_cost, cut)
    expected, counts = matching_cost_reference(*inputs, class_cost=class_cost, weights=WEIGHTS)
    torch.testing.assert_close(cost, expected, rtol=2e-6, atol=4e-6)
    assert torch.equal(nonfinite, counts)


@pytest.mark.parametrize("class_cost", COSTS)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_the_twin_agrees(kernel: Callable, class_cost, dtype: torch.dtype) -> None:
    check(kernel, draw(dtype=dtype), class_cost)


@pytest.mark.parametrize("cut", [Cut(32, 1, 1), Cut(32, 2, 2), Cut(256, 1 << 30, 3)], ids=str)
@pytest.mark.parametrize("targets", [1, 16, 50])
def test_any_cut_gives_the_same(kernel: Callable, cut: Cut, targets: int) -> None:
    inputs = draw(problems=6, targets=targets)
    check(kernel, inputs, FocalCost(), cut)
    same = zip(run(kernel, inputs, FocalCost(), cut), run(kernel, inputs, FocalCost()), strict=True)
    assert all(torch.equal(a, b) for a, b in same)


@pytest.mark.parametrize("class_cost", COSTS)
@pytest.mark.parametrize("share", [0.003, 0.3])
def test_what_is_not_finite_is_counted(kernel: Callable, class_cost, share: float) -> None:
    inputs = draw()
    for tensor in (inputs[0], inputs[1], inputs[3]):
        broken = torch.rand(tensor.shape) < share
        tensor[broken] = STRANGE[torch.randint(3, (int(broken.sum()),))]
    check(kernel, inputs, class_cost, Cut(32, 2))


@pytest.mark.parametrize("class_cost", COSTS)
def test_an_unknown_label_reads_nothing_and_costs_too_much(kernel: Callable, class_cost) -> None:
    inputs = draw(problems=2)
    inputs[2][0, 3:5] = torch.tensor([11, -1])
    inputs[2][1, -1] = 2**62  # padding
    check(kernel, inputs, class_cost)
    assert run(kernel, inputs, class_cost)[1].tolist() == [[2 * 70, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize(
    "sizes",
    [dict(problems=0), dict(queries=0), dict(targets=0)],
    ids=lambda sizes: next(iter(sizes)),
)
def test_empty(kernel: Callable, sizes: dict) -> None:
    cost, nonfinite = run(kernel, draw(**sizes), FocalCost())
    assert cost.numel() == 0
    assert not nonfinite.any()


def test_more_targets_than_rows_are_as_many_as_rows(kernel: Callable) -> None:
    """Counts of a GPU are not checked on the host."""
    inputs = draw()
    wrong = (*inputs[:4], torch.tensor([1000, -3]))
    right = (*inputs[:4], torch.tensor([19, 0]))
    same = zip(run(kernel, wrong, FocalCost()), run(kernel, right, FocalCost()), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
