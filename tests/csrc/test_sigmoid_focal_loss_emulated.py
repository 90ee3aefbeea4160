"""The CUDA kernels of the sigmoid focal loss, emulated, against the twin."""

import hdetr_d2  # noqa: F401

import ctypes
import sys
from collections.abc import Callable
from dataclasses import astuple, dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import sigmoid_focal_loss_reference

sys.path.insert(0, str(Path(__file__).parent))
from guarded import assert_unharmed, guarded

FORMS = [(0.25, 2.0), (0.6, 1.5), (0.5, 0.0)]
# As in `enum Type`; no doubles.
TYPES = {torch.float32: 0, torch.float16: 2, torch.bfloat16: 3}
# Of a gradient: 16-bit dtypes are rounded to 1 in 256 or 2048.
TOLERANCES = {torch.float32: 3e-6, torch.float16: 1e-3, torch.bfloat16: 8e-3}


class Call(ctypes.Structure):
    """The same fields in sigmoid_focal_loss_driver.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("layers", "rows", "classes")),
        *((name, ctypes.c_float) for name in ("alpha", "gamma")),
        *((name, ctypes.c_int32) for name in ("type", "threads", "blocks")),
        ("seed", ctypes.c_uint64),
    ]


@dataclass(frozen=True)
class Cut:
    """How the launch is cut, and the seed of the order in which blocks and threads run."""

    threads: int = 64
    blocks: int = 1 << 30
    seed: int = 0


CUTS = [Cut(32, 1, 1), Cut(32, 2, 2), Cut(256, 1 << 30, 3)]


@pytest.fixture(scope="session")
def kernels(emulate: Callable[[str], ctypes.CDLL]) -> ctypes.CDLL:
    loaded = emulate("sigmoid_focal_loss")
    loaded.count_partial_sums.restype = ctypes.c_int64
    return loaded


def draw(*sizes: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Logits of L, B, Q, K, and labels."""
    labels = torch.randint(-2, sizes[-1], sizes[:3])
    labels[..., ::3] = -1
    return (4 * torch.randn(sizes)).to(dtype), labels


def run(
    kernels: ctypes.CDLL,
    logits: Tensor,
    labels: Tensor,
    grad_loss: Tensor,
    form: tuple[float, float] = FORMS[0],
    cut: Cut = Cut(),
) -> tuple[Tensor, Tensor]:
    """The loss and the gradient, in memory surrounded by what must not be touched."""
    layers, batch, queries, classes = logits.shape
    threads, blocks, seed = astuple(cut)
    call = Call(layers, batch * queries, classes, *form, TYPES[logits.dtype], threads, blocks, seed)
    sums = guarded(torch.full((kernels.count_partial_sums(ctypes.byref(call)),), 7.0))
    loss, gradient = guarded(torch.full((layers,), 7.0)), guarded(torch.full_like(logits, 7.0))
    given = [guarded(each) for each in (logits, labels, grad_loss)]

    def pointers(*tensors: Tensor) -> list[ctypes.c_void_p]:
        return [ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors]

    assert kernels.forward(ctypes.byref(call), *pointers(*given[:2], sums, loss)) == 0
    order = (given[2], *given[:2], gradient)
    assert kernels.backward(ctypes.byref(call), *pointers(*order)) == 0
    for result in (sums, loss, gradient):
        assert_unharmed(result)
    return loss, gradient


def expected(
    logits: Tensor, labels: Tensor, grad_loss: Tensor, form: tuple[float, float]
) -> tuple[Tensor, Tensor]:
    """Of the twin in float64."""
    exact = logits.double().requires_grad_()
    loss = sigmoid_focal_loss_reference(exact, labels, *form)
    return loss.detach(), torch.autograd.grad(loss, exact, grad_loss.double())[0]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 2, 40, 23), (1, 1, 2, 2500)], ids=str)
def test_the_twin_agrees(
    kernels: ctypes.CDLL, sizes: tuple[int, ...], dtype: torch.dtype, form: tuple[float, float]
) -> None:
    logits, labels = draw(*sizes, dtype=dtype)
    grad_loss = torch.tensor([1.0, -0.5])[: sizes[0]]
    loss, gradient = run(kernels, logits, labels, grad_loss, form)
    wanted = expected(logits, labels, grad_loss, form)
    torch.testing.assert_close(loss.double(), wanted[0], rtol=2e-6, atol=1e-7)
    tolerance = TOLERANCES[dtype]
    torch.testing.assert_close(gradient.double(), wanted[1], rtol=tolerance, atol=3e-7)


def test_more_sums_than_a_block_has_threads(kernels: ctypes.CDLL) -> None:
    logits, labels = draw(2, 1, 700, 500)
    loss, _ = run(kernels, logits, labels, torch.ones(2))
    wanted = sigmoid_focal_loss_reference(logits.double(), labels, *FORMS[0])
    torch.testing.assert_close(loss.double(), wanted, rtol=2e-6, atol=0.0)


@pytest.mark.parametrize("cut", CUTS, ids=str)
def test_any_cut_gives_the_same_bits(kernels: ctypes.CDLL, cut: Cut) -> None:
    logits, labels = draw(3, 2, 60, 31)
    grad_loss = torch.randn(3)
    answers = (run(kernels, logits, labels, grad_loss, cut=each) for each in (cut, Cut()))
    assert all(torch.equal(a, b) for a, b in zip(*answers, strict=True))


def test_an_unknown_label_is_no_index_and_shows(kernels: ctypes.CDLL) -> None:
    logits, labels = draw(4, 1, 9, 5)
    labels[1:, 0, 4] = torch.tensor([5, -3, 2**40])
    loss, gradient = run(kernels, logits, labels, torch.ones(4))
    assert loss.isnan().tolist() == [False, True, True, True]
    assert gradient[1:, 0, 4].isnan().all()
    assert int(gradient.isnan().sum()) == 15


def test_padding_has_neither_loss_nor_gradient(kernels: ctypes.CDLL) -> None:
    logits, labels = draw(1, 1, 6, 5)
    labels[0, 0, 2:4] = -2
    logits[0, 0, 2], logits[0, 0, 3] = torch.nan, torch.inf
    loss, gradient = run(kernels, logits, labels, torch.tensor([torch.inf]))
    assert loss.isfinite().all()
    assert not gradient[0, 0, 2:4].any()


@pytest.mark.parametrize("sizes", [(0, 2, 3, 4), (2, 0, 3, 4), (2, 1, 0, 4), (2, 1, 3, 0)], ids=str)
def test_empty(kernels: ctypes.CDLL, sizes: tuple[int, ...]) -> None:
    logits, labels = torch.zeros(sizes), torch.full(sizes[:3], -1)
    loss, gradient = run(kernels, logits, labels, torch.ones(sizes[0]))
    assert loss.tolist() == [0.0] * sizes[0]
    assert gradient.numel() == 0
