"""Dropout: its numbers, its randomness, and PyTorch's own checks of the op."""

import warnings

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import dropout, dropout_reference, extension

NO_KERNEL = extension.why_no_kernel("dropout", torch.device("cpu"))
with_kernel = pytest.mark.skipif(bool(NO_KERNEL), reason=NO_KERNEL or "built")
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
KINDS = [pytest.param(dropout, marks=with_kernel), dropout_reference]
WORD, LONG = 2**32 - 1, 2**64 - 1


def bits_of(seed: int, place: int) -> int:
    """The documented hash, in Python's integers."""
    key = (seed + (place // 1024 + 1) * 0x9E3779B97F4A7C15) & LONG
    key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 & LONG
    key = (key ^ key >> 27) * 0x94D049BB133111EB & LONG
    key ^= key >> 31
    bits = place % 1024 ^ key & WORD
    bits = (bits ^ bits >> 16) * 0x7FEB352D & WORD ^ key >> 32
    bits = (bits ^ bits >> 15) * 0x846CA68B & WORD
    return bits ^ bits >> 16


def seeds(*numbers: int) -> Tensor:
    return torch.tensor(numbers)


@pytest.mark.parametrize("function", KINDS)
@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1, -1])
def test_what_is_dropped_follows_from_seed_and_place(function, seed: int) -> None:
    found = function(torch.arange(1.0, 2100.0), 0.25, seeds(seed))
    for place in (0, 1, 2, 15, 16, 17, 1022, 1023, 1024, 1025, 2047, 2048, 2097, 2098):
        kept = bits_of(seed, place) >= 2**30
        assert found[place].item() == pytest.approx((place + 1) / 0.75 if kept else 0.0), place


@with_kernel
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [1, 3, 16, 17, 1023, 1024, 1025, 100_003])
def test_the_twin_agrees(size: int, dtype: torch.dtype) -> None:
    x = torch.randn(size).to(dtype)
    found = dropout(x, 0.3, seeds(size))
    assert found.dtype == dtype
    expected = dropout_reference(x.double(), 0.3, seeds(size))
    assert torch.equal(found == 0, expected == 0)
    torch.testing.assert_close(found, expected.to(dtype))


@pytest.mark.parametrize("function", KINDS)
def test_each_seed_has_a_part(function) -> None:
    x = torch.randn(3, 700)
    parts = [function(part, 0.5, seeds(seed)) for part, seed in zip(x, (5, -9, 5), strict=True)]
    assert torch.equal(function(x, 0.5, seeds(5, -9, 5)), torch.stack(parts))


@with_kernel
def test_places_are_counted_as_if_it_were_contiguous() -> None:
    x = torch.randn(40, 60)
    assert torch.equal(dropout(x.T, 0.5, seeds(1)), dropout(x.T.contiguous(), 0.5, seeds(1)))


@pytest.mark.parametrize("function", KINDS)
@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_as_many_are_dropped_as_are_asked_for(function, p: float) -> None:
    count = 1 << 20
    dropped = int((function(torch.ones(count), p, seeds(3)) == 0).sum())
    assert abs(dropped - p * count) < 4 * (p * (1 - p) * count) ** 0.5


@with_kernel
def test_no_place_tells_of_another_and_no_seed_of_another() -> None:
    """Correlations of a million places stay within five deviations."""
    count, p = 1 << 20, 0.1
    masks = torch.stack([dropout(torch.ones(count), p, seeds(seed)) for seed in range(8)])
    masks = (masks - masks.mean(1, keepdim=True)) / masks.std(1, keepdim=True)
    between = masks @ masks.T / count
    assert (between - torch.eye(8)).abs().max() < 5 / count**0.5
    for lag in (1, 2, 3, 4, 8, 16, 64, 256, 1024, 1025, 2048, 65536):
        assert abs((masks[0, lag:] * masks[0, :-lag]).mean()) < 5 / count**0.5, lag


@with_kernel
def test_bits_are_even() -> None:
    """How often 1024 kinds of neighbours are dropped together: chi-squared of 1023."""
    dropped = dropout(torch.ones(10 << 17), 0.5, seeds(11)) == 0
    kinds = (dropped.view(-1, 10) * 2 ** torch.arange(10)).sum(1).bincount(minlength=1024)
    expected = (1 << 17) / 1024
    assert abs(((kinds - expected) ** 2 / expected).sum() - 1023) < 5 * (2 * 1023) ** 0.5


def test_the_generator_decides() -> None:
    x = torch.ones(1000)
    torch.manual_seed(4)
    state = torch.get_rng_state()
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    assert not torch.equal(first, second)
    torch.set_rng_state(state)
    assert torch.equal(dropout(x, 0.5), first)
    assert torch.equal(dropout(x, 0.5), second)


@with_kernel
def test_any_number_of_threads_gives_the_same() -> None:
    x = torch.randn(300_000)
    before = torch.get_num_threads()
    answers = []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            answers.append(dropout(x, 0.1, seeds(8)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(answers[0], other) for other in answers[1:])


def test_what_is_dropped_has_no_gradient_and_what_is_kept_has_all() -> None:
    x = torch.randn(500, requires_grad=True)
    found = dropout(x, 0.2)
    (gradient,) = torch.autograd.grad(found.sum(), x)
    torch.testing.assert_close(gradient, torch.where(found == 0, 0.0, 1.25))


@with_kernel
def test_the_seed_is_all_that_is_kept() -> None:
    kept: list[Tensor] = []
    hooks = torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t)
    with hooks:
        dropout(torch.randn(500, requires_grad=True), 0.2)
    assert [tensor.numel() for tensor in kept] == [1]


@pytest.mark.parametrize("function", KINDS)
def test_nothing_dropped_and_nothing_there(function) -> None:
    x = torch.randn(100)
    assert torch.equal(function(x, 0.0, seeds(1)), x)
    assert function(torch.zeros(0, 4), 0.5, seeds(1)).shape == (0, 4)


@pytest.mark.parametrize("kind", ["drawn", "given", "twin", "float64"])
def test_everything_dropped(kind: str) -> None:
    x = torch.randn(2100, dtype=torch.float64 if kind == "float64" else torch.float32)
    x.requires_grad_()
    function = dropout_reference if kind == "twin" else dropout
    found = function(x, 1.0, None if kind == "drawn" else seeds(1))
    assert torch.equal(found, torch.zeros_like(x))
    (gradient,) = torch.autograd.grad(found.sum(), x)
    assert torch.equal(gradient, torch.zeros_like(x))


@with_kernel
def test_not_a_number_stays_where_it_is_kept() -> None:
    found = dropout(torch.full((1000,), torch.nan), 0.5)
    assert 400 < int(found.isnan().sum()) < 600


@pytest.mark.filterwarnings("default")
def test_pytorchs_own_answers_without_the_kernel_after_one_warning(
    without_kernels: None,
) -> None:
    x = torch.randn(1000)
    torch.manual_seed(1)
    with pytest.warns(UserWarning, match="in PyTorch's own operations, slower: They are not built"):
        found = dropout(x, 0.5)
    torch.manual_seed(1)
    assert torch.equal(found, torch.nn.functional.dropout(x, 0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(dropout(x, 0.5, seeds(1)), dropout_reference(x, 0.5, seeds(1)))


@with_kernel
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck(dtype: torch.dtype) -> None:
    x = torch.randn(4, 50).to(dtype).requires_grad_()
    torch.library.opcheck(torch.ops.hdetr_d2.dropout.default, (x, seeds(1, 2), 0.1))


@with_kernel
def test_it_can_be_differentiated_again() -> None:
    x = torch.randn(50, requires_grad=True)
    (gradient,) = torch.autograd.grad(dropout(x, 0.5, seeds(1)).pow(3).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(gradient.sum(), x)
    torch.testing.assert_close(second, 24 * dropout(x, 0.5, seeds(1)))


@with_kernel
@pytest.mark.usefixtures("forget_graphs")
def test_a_compiled_graph() -> None:
    def step(x: Tensor) -> Tensor:
        return dropout(x, 0.1) * 2

    x = torch.ones(4000)
    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    first, second = compiled(x), compiled(x)
    assert not torch.equal(first, second)
    assert 250 < int((first == 0).sum()) < 550


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((torch.ones(4), 1.1), ValueError, r"in \[0, 1\], not 1.1"),
        ((torch.ones(4), -0.1), ValueError, r"in \[0, 1\], not -0.1"),
        ((torch.ones(4), float("nan")), ValueError, r"in \[0, 1\], not nan"),
        ((torch.ones(4).long(), 0.1), TypeError, "x must be floating, not torch.int64"),
        ((torch.ones(4), 0.1, torch.ones(1)), TypeError, "seeds must be int64, not torch.float32"),
        ((torch.ones(4), 0.1, torch.tensor(1)), ValueError, r"not \(\) for 4 elements"),
        ((torch.ones(4), 0.1, seeds(1, 2, 3)), ValueError, r"not \(3,\) for 4 elements"),
        ((torch.ones(4), 0.1, seeds(1).to("meta")), ValueError, "seeds is on meta, but x on cpu"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        dropout(*arguments)


@with_kernel
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((torch.ones(4).double(), seeds(1), 0.1), "x must be float32, float16 or bfloat16"),
        ((torch.ones(4), torch.ones(1), 0.1), r"seeds must be \[N\] int64"),
        ((torch.ones(4), seeds(1, 2, 3), 0.1), "one for each seed"),
        ((torch.ones(4), seeds(1)[:0], 0.1), "one for each seed"),
        ((torch.ones(4), seeds(1), 1.0), "at least 0 and below 1, not 1"),
    ],
)
def test_the_op_checks_what_it_is_given(arguments: tuple, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.dropout(*arguments)
