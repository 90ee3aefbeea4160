"""The CUDA kernels of affine_relu, emulated, against the twin."""

import hdetr_d2  # noqa: F401

import ctypes
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import affine_relu_reference

sys.path.insert(0, str(Path(__file__).parent))
from guarded import assert_unharmed, guarded

# As in `enum Type`, and how far a result is off that is rounded once.
TYPES = {torch.float32: (0, 1e-5), torch.float16: (2, 2e-3), torch.bfloat16: (3, 1e-2)}
# B, C, H, W: groups of 16 bytes fit into planes, into cells, into neither; one cell; nothing.
SIZES = [(2, 5, 4, 8), (3, 8, 1, 3), (2, 3, 5, 7), (1, 1, 1, 1), (0, 4, 2, 2)]
# Threads of a block and blocks: the groups are fewer, and more than one turn has.
CUTS = [(64, 1 << 30), (32, 2)]
ORDERS = [torch.contiguous_format, torch.channels_last]


class Call(ctypes.Structure):
    """The same fields in affine_relu_driver.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("size", "channels", "together")),
        *((name, ctypes.c_int32) for name in ("type", "threads", "blocks")),
        ("ceiling", ctypes.c_float),
        ("seed", ctypes.c_uint64),
    ]


@pytest.fixture(scope="session")
def kernels(emulate: Callable[[str], ctypes.CDLL]) -> ctypes.CDLL:
    return emulate("affine_relu")


def pointers(*tensors: Tensor | None) -> list[ctypes.c_void_p]:
    return [ctypes.c_void_p(None if each is None else each.data_ptr()) for each in tensors]


def in_memory(numbers: Tensor, order: torch.memory_format) -> Tensor:
    """One after the other as they lie in that order."""
    return (numbers.movedim(1, -1) if order is torch.channels_last else numbers).flatten()


def run(
    kernels: ctypes.CDLL,
    maps: tuple[Tensor, Tensor, Tensor],
    constants: Tensor,
    order: torch.memory_format,
    ceiling: float | None,
    cut: tuple[int, int] = CUTS[0],
) -> list[Tensor]:
    """y and the gradients by x and by the residual, as they lie in memory that is surrounded by
    what must not be touched. maps: x, the residual, the gradient of y.
    """
    x, residual, gradient = (guarded(in_memory(each, order)) for each in maps)
    together = math.prod(maps[0].shape[2:]) if order is torch.contiguous_format else 1
    at_most = math.nan if ceiling is None else ceiling
    sizes = (x.numel(), maps[0].shape[1], together)
    call = ctypes.byref(Call(*sizes, TYPES[x.dtype][0], *cut, at_most, 3))
    scale, shift = map(guarded, constants)
    y, of_x, of_residual = results = [guarded(torch.full_like(x, 7.0)) for _ in range(3)]
    assert kernels.forward(call, *pointers(scale, shift, x, residual, y)) == 0
    assert kernels.backward(call, *pointers(scale, gradient, y, of_x, of_residual)) == 0
    for each in results:
        assert_unharmed(each)
    before = of_x.clone()
    of_x.fill_(7.0)
    assert kernels.backward(call, *pointers(scale, gradient, y, of_x, None)) == 0
    assert torch.equal(of_x, before)
    return results


def expected(
    maps: tuple[Tensor, Tensor, Tensor], constants: Tensor, ceiling: float | None
) -> list[Tensor]:
    """Of the twin in float64."""
    x, residual = leaves = [each.double().requires_grad_() for each in maps[:2]]
    y = affine_relu_reference(x, *constants.double(), residual, ceiling)
    return [y.detach(), *torch.autograd.grad(y, leaves, maps[2].double())]


@pytest.mark.parametrize("cut", CUTS, ids=str)
@pytest.mark.parametrize("ceiling", [None, 1.5])
@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_twin_agrees(
    kernels: ctypes.CDLL,
    sizes: tuple[int, ...],
    dtype: torch.dtype,
    order: torch.memory_format,
    ceiling: float | None,
    cut: tuple[int, int],
) -> None:
    maps = tuple(torch.randn(sizes).to(dtype) for _ in range(3))
    constants = torch.randn(2, sizes[1])
    found = run(kernels, maps, constants, order, ceiling, cut)
    for one, other in zip(found, expected(maps, constants, ceiling), strict=True):
        wanted, tolerance = in_memory(other, order), TYPES[dtype][1]
        torch.testing.assert_close(one.double(), wanted, rtol=tolerance, atol=tolerance)


def test_without_a_residual(kernels: ctypes.CDLL) -> None:
    x, y = (guarded(torch.randn(24)), guarded(torch.full((24,), 7.0)))
    scale, shift = map(guarded, torch.randn(2, 3))
    call = ctypes.byref(Call(24, 3, 8, 0, 32, 1, math.nan, 3))
    assert kernels.forward(call, *pointers(scale, shift, x, None, y)) == 0
    assert_unharmed(y)
    wanted = affine_relu_reference(x.view(1, 3, 2, 4), scale, shift)
    torch.testing.assert_close(y, wanted.flatten())


def test_arrays_may_begin_anywhere(kernels: ctypes.CDLL) -> None:
    """Groups of 16 bytes are read where all of them begin at multiples of 16."""
    numbers, found = torch.randn(17), torch.full((17,), 7.0)
    scale, shift = torch.ones(2), torch.zeros(2)
    call = ctypes.byref(Call(16, 2, 8, 0, 32, 1, math.nan, 3))
    given = pointers(scale, shift, numbers[1:], None, found[1:])
    assert kernels.forward(call, *given) == 0
    assert torch.equal(found[1:], numbers[1:].relu())
    assert found[0] == 7


def test_what_is_not_finite_shows(kernels: ctypes.CDLL) -> None:
    x = torch.tensor([torch.nan, torch.inf, -torch.inf, 1.0]).view(1, 1, 2, 2)
    maps, constants = (x, torch.zeros_like(x), torch.ones_like(x)), torch.tensor([[1.0], [0.0]])
    for ceiling in (None, 6.0):
        y, of_x, _ = run(kernels, maps, constants, torch.contiguous_format, ceiling)
        wanted, by_x, _ = expected(maps, constants, ceiling)
        torch.testing.assert_close(y.double(), wanted.flatten(), equal_nan=True)
        torch.testing.assert_close(of_x.double(), by_x.flatten(), equal_nan=True)
