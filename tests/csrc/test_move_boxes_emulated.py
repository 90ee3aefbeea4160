"""The CUDA kernels that move boxes, emulated, against the twin."""

import hdetr_d2  # noqa: F401

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import move_boxes_reference

sys.path.insert(0, str(Path(__file__).parent))
from guarded import assert_unharmed, guarded

EPS = 1e-2
SIZES = [(1, 2), (1, 4), (300, 2), (300, 4), (0, 2), (0, 4)]  # rows, numbers of a reference
# Threads of a block and blocks: the elements are fewer, more than one turn has, and more than two.
CUTS = [(64, 1 << 30), (32, 1), (32, 3)]


class Call(ctypes.Structure):
    """The same fields in move_boxes_driver.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("rows", "numbers")),
        *((name, ctypes.c_int32) for name in ("threads", "blocks")),
        ("seed", ctypes.c_uint64),
        ("eps", ctypes.c_float),
    ]


@pytest.fixture(scope="session")
def kernels(emulate: Callable[[str], ctypes.CDLL]) -> ctypes.CDLL:
    return emulate("move_boxes")


def pointers(*tensors: Tensor | None) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(None if each is None else each.data_ptr()) for each in tensors]


def run(
    kernels: ctypes.CDLL, leaves: tuple[Tensor, Tensor], gradient: Tensor, cut: tuple[int, int]
) -> tuple[Tensor, Tensor, Tensor]:
    """The boxes and the gradients, in memory surrounded by what must not be touched."""
    delta, reference, gradient = (guarded(each) for each in (*leaves, gradient))
    call = ctypes.byref(Call(*reference.shape, *cut, 3, EPS))
    boxes, of_delta = (guarded(torch.full_like(delta, 7.0)) for _ in range(2))
    of_reference = guarded(torch.full_like(reference, 7.0))
    assert kernels.forward(call, *pointers(delta, reference, boxes)) == 0
    given = pointers(gradient, boxes, reference, of_delta)
    assert kernels.backward(call, *given, *pointers(of_reference)) == 0
    for each in (boxes, of_delta, of_reference):
        assert_unharmed(each)
    before = of_delta.clone()
    of_delta.fill_(7.0)
    assert kernels.backward(call, *given, *pointers(None)) == 0
    assert torch.equal(of_delta, before)
    return boxes, of_delta, of_reference


@pytest.mark.parametrize("cut", CUTS, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_twin_agrees(
    kernels: ctypes.CDLL, sizes: tuple[int, int], cut: tuple[int, int]
) -> None:
    rows, numbers = sizes
    delta = 2 * torch.randn(rows, 4)
    reference = 1.5 * torch.rand(rows, numbers) - 0.25
    gradient = torch.randn(rows, 4)
    found = run(kernels, (delta, reference), gradient, cut)
    exact = [each.double()[None].requires_grad_() for each in (delta, reference)]
    wanted = move_boxes_reference(*exact, EPS)
    slopes = torch.autograd.grad(wanted, exact, gradient.double()[None])
    for one, other in zip(found, (wanted, *slopes), strict=True):
        torch.testing.assert_close(one.double(), other[0].detach(), rtol=1e-4, atol=1e-4)
