"""The CUDA kernels of the losses of boxes, emulated, against the twin."""

import hdetr_d2  # noqa: F401

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import box_losses_reference

sys.path.insert(0, str(Path(__file__).parent))
from guarded import assert_unharmed, guarded

SIZES = [(1, 1, 1), (3, 40, 7), (2, 700, 3), (2, 5, 0), (0, 3, 2), (2, 0, 3)]
# Threads of a block and blocks: the rows are fewer, more than one turn has, and more than two.
CUTS = [(64, 1 << 30), (32, 1), (32, 3)]


class Call(ctypes.Structure):
    """The same fields in box_losses_driver.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("problems", "rows", "targets")),
        *((name, ctypes.c_int32) for name in ("threads", "blocks")),
        ("seed", ctypes.c_uint64),
    ]


@pytest.fixture(scope="session")
def kernels(emulate: Callable[[str], ctypes.CDLL]) -> ctypes.CDLL:
    return emulate("box_losses")


def draw(problems: int, rows: int, targets: int) -> tuple[Tensor, Tensor, Tensor]:
    index = torch.randint(-targets - 1, max(targets, 0), (problems, rows))
    return torch.rand(problems, rows, 4), torch.rand(problems, targets, 4), index


def run(
    kernels: ctypes.CDLL, given: tuple[Tensor, ...], gradient: Tensor, cut: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The losses and the gradient, in memory surrounded by what must not be touched."""
    boxes, truth, _ = given
    call = ctypes.byref(Call(*boxes.shape[:2], truth.shape[1], *cut, 3))
    losses, slopes = guarded(torch.full_like(gradient, 7.0)), guarded(torch.full_like(boxes, 7.0))
    inputs = [guarded(each) for each in given]

    def pointers(*tensors: Tensor) -> list[ctypes.c_void_p]:
        return [ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors]

    assert kernels.forward(call, *pointers(*inputs, losses)) == 0
    assert kernels.backward(call, *pointers(guarded(gradient), *inputs, slopes)) == 0
    assert_unharmed(losses)
    assert_unharmed(slopes)
    return losses, slopes


@pytest.mark.parametrize("cut", CUTS, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_twin_agrees(
    kernels: ctypes.CDLL, sizes: tuple[int, int, int], cut: tuple[int, int]
) -> None:
    given = draw(*sizes)
    gradient = torch.randn(*sizes[:2], 2)
    losses, slopes = run(kernels, given, gradient, cut)
    boxes, truth, index = given
    exact = boxes.double().requires_grad_()
    wanted = box_losses_reference(exact, truth.double(), index)
    torch.testing.assert_close(losses.double(), wanted.detach(), rtol=1e-5, atol=1e-5)
    (expected,) = torch.autograd.grad(wanted, exact, gradient.double())
    torch.testing.assert_close(slopes.double(), expected, rtol=1e-4, atol=1e-4)


def test_an_unknown_index_is_never_looked_up_and_shows(kernels: ctypes.CDLL) -> None:
    boxes, truth, index = draw(2, 5, 3)
    index[1, 2], index[1, 3] = 3, 2**40
    losses, slopes = run(kernels, (boxes, truth, index), torch.ones(2, 5, 2), CUTS[0])
    assert losses.isnan().all(-1).nonzero().tolist() == [[1, 2], [1, 3]]
    assert slopes.isnan().all(-1).nonzero().tolist() == [[1, 2], [1, 3]]
