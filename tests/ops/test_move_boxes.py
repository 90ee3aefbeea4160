"""Moved boxes by hand, and the kernels against their twin."""

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import extension, move_boxes, move_boxes_reference
from hdetr_d2.ops.portable import attention_as

with_kernels = pytest.mark.skipif(
    bool(extension.why_no_kernel("move_boxes", torch.device("cpu"))),
    reason=extension.why_no_kernel("move_boxes", torch.device("cpu")) or "built",
)
BOTH = pytest.mark.parametrize(
    "function", [pytest.param(move_boxes, marks=with_kernels), move_boxes_reference]
)
NUMBERS = pytest.mark.parametrize("numbers", [2, 4])
SIXTEEN_BITS = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)


def draw(images: int = 2, queries: int = 37, numbers: int = 4) -> tuple[Tensor, Tensor]:
    """Deltas, and references of which a third is beyond 0 and 1; none is near a bound, where the
    slope is steep.
    """
    delta = 2 * torch.randn(images, queries, 4)
    reference = 0.05 + 0.9 * torch.rand(images, queries, numbers)
    beyond = torch.randint(-1, 2, reference.shape) * (torch.rand(reference.shape) < 0.5)
    return delta.requires_grad_(), (reference + beyond).requires_grad_()


def differentiate(function: Callable, *leaves: Tensor, eps: float = 1e-5) -> tuple[Tensor, ...]:
    """The boxes, and the gradients of their sum with weights."""
    boxes = function(*leaves, eps)
    weights = torch.linspace(-1, 1, boxes.numel(), device=boxes.device).view(boxes.shape)
    return boxes.detach(), *torch.autograd.grad(boxes, leaves, weights.to(boxes))


def exact(*leaves: Tensor) -> list[Tensor]:
    return [leaf.detach().cpu().double().requires_grad_() for leaf in leaves]


def agree(found: tuple[Tensor, ...], wanted: tuple[Tensor, ...]) -> None:
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one.cpu().double(), other.double(), rtol=1e-5, atol=1e-5)


@BOTH
def test_by_hand(function: Callable) -> None:
    """Odds of 1, 3, 1/3 and 9, times the exponential of the delta."""
    delta = torch.tensor([[[0.0, math.log(3), math.log(3), -math.log(3)]]])
    boxes = function(delta, torch.tensor([[[0.5, 0.75, 0.25, 0.9]]]))
    torch.testing.assert_close(boxes, torch.tensor([[[0.5, 0.9, 0.5, 0.75]]]))


@BOTH
def test_a_reference_of_two_numbers_has_no_size(function: Callable) -> None:
    delta = torch.tensor([[[0.0, math.log(3), math.log(3), -math.log(4)]] * 3])
    boxes = function(delta, torch.tensor([[[0.5, 0.75]] * 3]))
    torch.testing.assert_close(boxes, torch.tensor([[[0.5, 0.9, 0.75, 0.2]] * 3]))


@BOTH
def test_gradients_by_hand(function: Callable) -> None:
    """Of a sigmoid at 0.9 it is 0.09, of the logit of 0.75 it is 1 / 0.75 + 1 / 0.25."""
    delta = torch.full((1, 1, 4), math.log(3), requires_grad=True)
    reference = torch.full((1, 1, 2), 0.75, requires_grad=True)
    _, by_delta, by_reference = differentiate(function, delta, reference)
    weights = torch.linspace(-1, 1, 4)
    of_boxes = torch.tensor([0.09, 0.09, 0.1875, 0.1875])
    torch.testing.assert_close(by_delta, (weights * of_boxes)[None, None])
    torch.testing.assert_close(by_reference, (weights * of_boxes)[None, None, :2] * (16 / 3))


@BOTH
def test_odds_are_at_least_eps(function: Callable) -> None:
    """Of 0 and 1, and of what lies beyond them; it takes no gradient there."""
    reference = torch.tensor([[[0.0, -3.0, 1.0, 7.0], [-torch.inf, torch.inf, 1e-4, 0.9999]]])
    leaves = torch.zeros(1, 2, 4, requires_grad=True), reference.requires_grad_()
    boxes, by_delta, by_reference = differentiate(function, *leaves, eps=1e-3)
    low, high = 1e-3 / (1 + 1e-3), 1 / (1 + 1e-3)
    wanted = [low, low, high, high], [low, high, 1e-3 / (1e-3 + 0.9999), 0.9999 / (0.9999 + 1e-3)]
    torch.testing.assert_close(boxes, torch.tensor([wanted]))
    assert by_delta.all()
    assert not by_reference[0, 0].any()
    assert not by_reference[0, 1, :2].any()
    assert by_reference[0, 1, 2:].all()  # the other odds are not clamped


@BOTH
@pytest.mark.parametrize("sizes", [(0, 3), (2, 0)], ids=str)
def test_empty(function: Callable, sizes: tuple[int, int]) -> None:
    leaves = draw(*sizes, numbers=2)
    boxes, by_delta, by_reference = differentiate(function, *leaves)
    assert boxes.shape == by_delta.shape == (*sizes, 4)
    assert by_reference.shape == (*sizes, 2)


@NUMBERS
@pytest.mark.filterwarnings("ignore:.*runs in PyTorch's own operations")
def test_the_gradient_of_differences(numbers: int) -> None:
    """Of references at the bounds there is none: they are kept off them."""
    delta, _ = draw(2, 5)
    reference = 0.1 + 0.8 * torch.rand(2, 5, numbers)
    assert torch.autograd.gradcheck(move_boxes, exact(delta, reference))


@with_kernels
@NUMBERS
@pytest.mark.parametrize("sizes", [(1, 1), (2, 37), (2, 1800), (3, 9001)], ids=str)
def test_the_kernels_agree_with_the_twin(sizes: tuple[int, int], numbers: int) -> None:
    leaves = draw(*sizes, numbers)
    wanted = differentiate(move_boxes_reference, *exact(*leaves))
    agree(differentiate(move_boxes, *leaves), wanted)


@with_kernels
@NUMBERS
def test_numbers_that_are_not_finite_as_with_the_twin(numbers: int) -> None:
    """Each of them with each, in boxes and in gradients; no box that is not 0 is too small."""
    some = [torch.nan, torch.inf, -torch.inf, 3e38, -3e38, 30.0, -30.0, 0.0, 0.3, 1.0]
    delta, reference = torch.cartesian_prod(*[torch.tensor(some)] * 2).unbind(-1)
    leaves = (
        delta[None, :, None].repeat(1, 1, 4).requires_grad_(),
        reference[None, :, None].repeat(1, 1, numbers).requires_grad_(),
    )
    found, wanted = (differentiate(each, *leaves) for each in (move_boxes, move_boxes_reference))
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-5, atol=1e-6, equal_nan=True)
    for weight in (torch.nan, torch.inf, -torch.inf):
        gradients = []
        for function in (move_boxes, move_boxes_reference):
            boxes = function(*leaves)
            gradients.append(torch.autograd.grad(boxes, leaves, torch.full_like(boxes, weight)))
        for one, other in zip(*gradients, strict=True):
            assert torch.equal(one.isnan(), other.isnan())
            assert torch.equal(one.isinf(), other.isinf())


@with_kernels
def test_the_gradient_at_the_bounds_is_that_of_the_twin() -> None:
    bound = torch.zeros(1, requires_grad=True)
    if torch.autograd.grad(bound.clamp(0.0, 1.0), bound)[0].any():
        pytest.skip("to this PyTorch a bound is within (before 2.14)")
    # Rounded as a clamp has it; 1 - x is on a bound, too.
    eps = torch.tensor(1e-5).item()
    reference = torch.tensor([[[0.0, eps, 1.0, 1e-9]]], requires_grad=True)
    leaves = torch.randn(1, 1, 4, requires_grad=True), reference
    agree(differentiate(move_boxes, *leaves), differentiate(move_boxes_reference, *leaves))


@BOTH
def test_any_strides(function: Callable) -> None:
    delta, reference = draw(37, 2)
    strided = [each.detach().transpose(0, 1).requires_grad_() for each in (delta, reference)]
    whole = [each.detach().contiguous().requires_grad_() for each in strided]
    agree(differentiate(function, *strided), differentiate(function, *whole))
    one = torch.tensor([[[0.2, 0.3]]]).expand(2, 37, 2)
    agree((function(strided[0], one),), (function(strided[0], one.contiguous()),))


@with_kernels
def test_a_gradient_is_computed_where_it_is_asked_for() -> None:
    delta, reference = draw()
    both = differentiate(move_boxes, delta, reference)
    (alone,) = torch.autograd.grad(
        move_boxes(delta, reference.detach()),
        delta,
        torch.linspace(-1, 1, delta.numel()).view(delta.shape),
    )
    assert torch.equal(alone, both[1])
    given = torch.ones(2, 37, 4), both[0], reference, 1e-5
    _, none = torch.ops.hdetr_d2.move_boxes_backward(*given, False)
    assert none.shape == (0,)


@with_kernels
@NUMBERS
def test_in_pieces_the_bits_are_the_same(numbers: int) -> None:
    delta, reference = (each.detach() for each in draw(2, 37, numbers))
    whole = move_boxes(delta, reference)
    assert torch.equal(whole[:, 5:12], move_boxes(delta[:, 5:12], reference[:, 5:12]))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(delta=torch.zeros(2, 37)), ValueError, r"takes delta \[B, Q, 4\]"),
        (dict(delta=torch.zeros(2, 37, 5)), ValueError, r"not \(2, 37, 5\)"),
        (dict(reference=torch.zeros(2, 37, 3)), ValueError, r"and \(2, 37, 3\)"),
        (dict(reference=torch.zeros(1, 37, 4)), ValueError, r"reference \[B, Q, 2 or 4\]"),
        (dict(reference=torch.zeros(2, 37, 4, device="meta")), ValueError, "reference is on meta"),
        (dict(delta=torch.zeros(2, 37, 4, dtype=torch.int64)), TypeError, "delta must be floating"),
        (dict(eps=0.0), ValueError, "eps of move_boxes is above 0 and below 1, not 0.0"),
        (dict(eps=1.0), ValueError, "not 1.0"),
        (dict(eps=math.nan), ValueError, "not nan"),
    ],
)
def test_what_does_not_fit_is_told(change: dict, error: type, message: str) -> None:
    given = dict(zip(("delta", "reference"), draw(), strict=True)) | change
    with pytest.raises(error, match=message):
        move_boxes(**given)


@with_kernels
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(delta=torch.zeros(2, 37, 5)), r"must be \[B, Q, 4\]"),
        (dict(delta=torch.zeros(2, 36, 4)), r"must be \[B, Q, 4\]"),
        (dict(reference=torch.zeros(2, 37, 3)), r"the reference must be \[B, Q, 2 or 4\]"),
        (dict(reference=torch.zeros(2, 37, 4, dtype=torch.float64)), "reference must be float32"),
        (dict(delta=torch.zeros(2, 37, 4, dtype=torch.float64)), "must be float32"),
        (dict(eps=0.0), "eps is above 0 and below 1"),
    ],
)
def test_the_ops_check_what_they_are_given(change: dict, message: str) -> None:
    delta, reference = (each.detach() for each in draw())
    given = dict(delta=delta, reference=reference, eps=1e-5) | change
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.move_boxes(*given.values())
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.move_boxes_backward(torch.zeros(2, 37, 4), *given.values(), True)


@with_kernels
@pytest.mark.parametrize("gradient", [torch.zeros(2, 37), torch.zeros(2, 37, 4).double()])
def test_the_backward_refuses_another_gradient(gradient: Tensor) -> None:
    with pytest.raises(RuntimeError, match="the gradient of the boxes must be"):
        torch.ops.hdetr_d2.move_boxes_backward(gradient, *draw(), 1e-5, True)


@with_kernels
@NUMBERS
def test_opcheck(numbers: int) -> None:
    delta, reference = draw(numbers=numbers)
    torch.library.opcheck(torch.ops.hdetr_d2.move_boxes.default, (delta, reference, 1e-5))
    boxes = torch.rand(2, 37, 4)
    for of_reference in (True, False):
        arguments = (torch.rand(2, 37, 4), boxes, reference.detach(), 1e-5, of_reference)
        torch.library.opcheck(torch.ops.hdetr_d2.move_boxes_backward.default, arguments)


@SIXTEEN_BITS
def test_sixteen_bits_are_computed_in_float32(dtype: torch.dtype) -> None:
    """Boxes have the dtype of the sum; a gradient has that of what it belongs to."""
    delta, reference = draw()
    low = delta.detach().to(dtype).requires_grad_()
    for place in (reference, reference.detach().to(dtype).requires_grad_()):
        found = differentiate(move_boxes, low, place)
        assert [each.dtype for each in found] == [place.dtype, dtype, place.dtype]
        wanted = differentiate(move_boxes_reference, *exact(low, place))
        for one, other in zip(found, wanted, strict=True):
            bound = 1e-2 if one.dtype == dtype else 1e-5
            torch.testing.assert_close(one.double(), other, rtol=bound, atol=bound)


@SIXTEEN_BITS
def test_autocast_leaves_boxes_their_precision(dtype: torch.dtype) -> None:
    """As PyTorch's operations have it: those of a delta of 16 bits are float32 by the reference."""
    delta, reference = draw()
    with torch.autocast("cpu", dtype=dtype):
        boxes = move_boxes(delta.to(dtype), reference)
        twin = move_boxes_reference(delta.to(dtype), reference)
    assert boxes.dtype == twin.dtype == torch.float32
    torch.testing.assert_close(boxes, twin)


@with_kernels
def test_an_exported_graph_has_the_twin() -> None:
    class Move(torch.nn.Module):
        def forward(self, delta: Tensor, reference: Tensor) -> Tensor:
            return move_boxes(delta, reference)

    given = tuple(each.detach() for each in draw())
    with attention_as(lambda *_: torch.empty(0)):
        program = torch.export.export(Move(), given, strict=False)
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert "aten.sigmoid.default" in called
    assert not any("hdetr_d2" in name for name in called)
    torch.testing.assert_close(program.module()(*given), move_boxes(*given))


@pytest.mark.filterwarnings("default")
def test_the_twin_answers_without_kernels_after_one_warning(without_kernels: None) -> None:
    given = draw()
    with pytest.warns(UserWarning, match="in PyTorch's own operations, slower: They are not built"):
        boxes = move_boxes(*given)
    assert torch.equal(boxes, move_boxes_reference(*given))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        move_boxes(*given)


@pytest.mark.usefixtures("forget_graphs")
def test_a_compiled_graph() -> None:
    given = draw()
    compiled = torch.compile(move_boxes, fullgraph=True, backend="aot_eager")
    answer = differentiate(compiled, *given)
    assert all(map(torch.equal, answer, differentiate(move_boxes, *given)))


@pytest.mark.needs_cuda
@NUMBERS
def test_a_gpu_gives_the_same(numbers: int) -> None:
    leaves = draw(2, 1800, numbers)
    moved = [each.detach().cuda().requires_grad_() for each in leaves]
    wanted = differentiate(move_boxes_reference, *exact(*leaves))
    agree(differentiate(move_boxes, *moved), wanted)
