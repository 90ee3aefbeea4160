"""A norm, a sum and a ReLU by hand, and the kernels against their twin."""

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import affine_relu, affine_relu_reference, extension
from hdetr_d2.ops.portable import attention_as

with_kernels = pytest.mark.skipif(
    bool(extension.why_no_kernel("affine_relu", torch.device("cpu"))),
    reason=extension.why_no_kernel("affine_relu", torch.device("cpu")) or "built",
)
BOTH = pytest.mark.parametrize(
    "function", [pytest.param(affine_relu, marks=with_kernels), affine_relu_reference]
)
ORDERS = pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last], ids=str)
# How far a result is off that is rounded once.
DTYPES = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1e-2}
# Planes and cells: fewer numbers than a pack has, a pack and a rest, more than a task has.
SIZES = [(1, 1, 1, 1), (2, 3, 1, 1), (2, 5, 3, 7), (1, 67, 9, 9), (2, 3, 150, 160)]


def draw(
    sizes: tuple[int, ...] = (2, 5, 3, 7),
    dtype: torch.dtype = torch.float32,
    order: torch.memory_format = torch.contiguous_format,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, scale, shift and residual."""
    x, residual = (
        torch.randn(sizes).to(dtype).contiguous(memory_format=order).requires_grad_()
        for _ in range(2)
    )
    scale, shift = torch.randn(2, sizes[1])
    return x, scale, shift, residual


def differentiate(
    function: Callable,
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    residual: Tensor | None,
    ceiling: float | None = None,
) -> list[Tensor]:
    """The result, and the gradients of its sum with weights."""
    y = function(x, scale, shift, residual, ceiling)
    weights = torch.linspace(-1, 1, y.numel(), device=y.device).view(y.shape)
    leaves = [x] if residual is None else [x, residual]
    return [y.detach(), *torch.autograd.grad(y, leaves, weights.to(y))]


def exact(*tensors: Tensor | None) -> list[Tensor | None]:
    return [
        each if each is None else each.detach().cpu().double().requires_grad_(each.requires_grad)
        for each in tensors
    ]


def agree(found: list[Tensor], wanted: list[Tensor], tolerance: float = 1e-5) -> None:
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(
            one.cpu().double(), other.double(), rtol=tolerance, atol=tolerance
        )


def off_the_bounds(
    found: list[Tensor], wanted: list[Tensor], ceiling: float | None, tolerance: float
) -> tuple[list[Tensor], list[Tensor]]:
    """Without the gradients of what a rounding may have brought onto the ceiling or onto 0."""
    near = wanted[0] < tolerance
    if ceiling is not None:
        near |= wanted[0] > ceiling - tolerance
    kept = wanted[0].new_ones(()).where(~near | (wanted[0] == 0) | (wanted[0] == ceiling), 0.0)

    def cut(results: list[Tensor]) -> list[Tensor]:
        return [results[0], *(each.cpu().double() * kept for each in results[1:])]

    return cut(found), cut(wanted)


@BOTH
def test_by_hand(function: Callable) -> None:
    """Two channels: 2 x + 1 and -x; the gradient is where something is left, below the ceiling."""
    x = torch.tensor([[[[-1.0, 2.0]], [[-4.0, 9.0]]]], requires_grad=True)
    residual = torch.tensor([[[[0.5, 1.0]], [[5.0, 3.0]]]], requires_grad=True)
    y = function(x, torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0]), residual, 8.0)
    assert y.flatten().tolist() == [0.0, 6.0, 8.0, 0.0]
    of_x, of_residual = torch.autograd.grad(y.sum(), (x, residual))
    assert of_x.flatten().tolist() == [0.0, 2.0, 0.0, 0.0]
    assert of_residual.flatten().tolist() == [0.0, 1.0, 0.0, 0.0]
    alone = function(x, torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0]))
    assert alone.flatten().tolist() == [0.0, 5.0, 4.0, 0.0]


@pytest.mark.filterwarnings("ignore:.*runs in PyTorch's own operations")
def test_the_gradient_of_differences() -> None:
    x, scale, shift, residual = exact(*draw())
    assert torch.autograd.gradcheck(
        lambda x, residual: affine_relu(x, scale, shift, residual, 1.5), (x, residual)
    )


@with_kernels
@ORDERS
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_kernels_agree_with_the_twin(
    sizes: tuple[int, ...], dtype: torch.dtype, order: torch.memory_format
) -> None:
    x, scale, shift, residual = draw(sizes, dtype, order)
    for added, ceiling in ((residual, None), (residual, 1.0), (None, 1.0), (None, None)):
        found = differentiate(affine_relu, x, scale, shift, added, ceiling)
        assert {each.dtype for each in found} == {dtype}
        wanted = differentiate(affine_relu_reference, *exact(x, scale, shift, added), ceiling)
        agree(*off_the_bounds(found, wanted, ceiling, DTYPES[dtype]), DTYPES[dtype])


@BOTH
@pytest.mark.parametrize("sizes", [(0, 3, 2, 2), (2, 0, 2, 2), (2, 3, 0, 2)], ids=str)
def test_empty(function: Callable, sizes: tuple[int, ...]) -> None:
    assert {each.shape for each in differentiate(function, *draw(sizes))} == {sizes}


@BOTH
def test_what_is_not_finite_shows(function: Callable) -> None:
    x = torch.tensor([torch.nan, torch.inf, -torch.inf, 1.0]).view(1, 1, 2, 2).requires_grad_()
    constants = torch.ones(1), torch.zeros(1)
    for ceiling, wanted in ((None, torch.inf), (6.0, 6.0)):
        y = function(x, *constants, None, ceiling)
        torch.testing.assert_close(
            y.flatten(), torch.tensor([torch.nan, wanted, 0.0, 1.0]), equal_nan=True
        )
        (gradient,) = torch.autograd.grad(y.sum(), x)
        assert gradient.flatten().tolist() == [1.0, float(ceiling is None), 0.0, 1.0]


@BOTH
@ORDERS
def test_the_order_of_memory_stays(function: Callable, order: torch.memory_format) -> None:
    x, scale, shift, residual = draw(order=order)
    for result in differentiate(function, x, scale, shift, residual):
        assert result.is_contiguous(memory_format=order)


@BOTH
def test_any_strides(function: Callable) -> None:
    """Also of a residual and of a gradient in the other order, and of a map of one value."""
    x, scale, shift, residual = draw()
    wanted = differentiate(function, x, scale, shift, residual)
    last = residual.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    agree(differentiate(function, x, scale, shift, last), wanted)
    turned = x.detach().transpose(2, 3).contiguous().transpose(2, 3).requires_grad_()
    agree(differentiate(function, turned, scale, shift, residual), wanted)
    one = torch.ones(1, 1, 1, 1).expand(2, 5, 3, 7)
    agree([function(one, scale, shift)], [function(one.contiguous(), scale, shift)])


@with_kernels
def test_a_gradient_is_computed_where_it_is_asked_for() -> None:
    x, scale, shift, residual = draw()
    both = differentiate(affine_relu, x, scale, shift, residual)
    alone = differentiate(affine_relu, x, scale, shift, residual.detach().requires_grad_())
    assert torch.equal(alone[1], both[1])
    given = torch.ones(2, 5, 3, 7), both[0], scale, math.nan
    _, none = torch.ops.hdetr_d2.affine_relu_backward(*given, False)
    assert none.shape == (0,)


@with_kernels
def test_nothing_of_the_input_is_kept() -> None:
    x, scale, shift, residual = draw()
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = affine_relu(x, scale, shift, residual)
    assert {each.data_ptr() for each in kept} == {y.data_ptr(), scale.data_ptr()}


@with_kernels
def test_any_number_of_threads_gives_the_same() -> None:
    given = draw((2, 3, 150, 160))
    before, answers = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            answers.append(differentiate(affine_relu, *given))
    finally:
        torch.set_num_threads(before)
    for others in answers[1:]:
        assert all(map(torch.equal, answers[0], others))


ZEROS = torch.zeros(2, 5, 3, 7)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (dict(x=torch.zeros(2, 5)), ValueError, r"takes x \[B, C, H, W\]"),
        (dict(scale=torch.zeros(4)), ValueError, r"not \(2, 5, 3, 7\), \(4,\) and \(5,\)"),
        (dict(shift=torch.zeros(5, 1)), ValueError, r"scale and shift \[C\]"),
        (dict(residual=torch.zeros(2, 5, 3, 1)), ValueError, r"the shape of x, \(2, 5, 3, 7\)"),
        (dict(residual=ZEROS.to("meta")), ValueError, "residual is on meta, but x on cpu"),
        (dict(x=ZEROS.long()), TypeError, "x must be floating, not torch.int64"),
        (dict(scale=torch.zeros(5).long()), TypeError, "scale must be floating"),
        (dict(scale=torch.zeros(5, requires_grad=True)), ValueError, "constants and get no"),
        (dict(shift=torch.zeros(5, requires_grad=True)), ValueError, "constants and get no"),
        (dict(ceiling=0.0), ValueError, "ceiling of affine_relu is above 0, not 0.0"),
        (dict(ceiling=math.nan), ValueError, "not nan"),
    ],
)
def test_what_does_not_fit_is_told(change: dict, error: type, message: str) -> None:
    given = dict(zip(("x", "scale", "shift", "residual"), draw(), strict=True)) | change
    with pytest.raises(error, match=message):
        affine_relu(**given)


@with_kernels
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (dict(x=ZEROS[0]), r"x must be \[B, C, H, W\]"),
        (dict(x=ZEROS.double()), "x must be float32, float16 or bfloat16"),
        (dict(scale=torch.zeros(4)), r"scale must be \[C\]"),
        (dict(shift=torch.zeros(5).double()), "shift must be float32"),
        (dict(residual=ZEROS.half()), "residual must have the shape and the dtype of x"),
        (dict(residual=ZEROS[1:]), "residual must have the shape and the dtype of x"),
    ],
)
def test_the_op_checks_what_it_is_given(change: dict, message: str) -> None:
    given = (each.detach() for each in draw())
    arguments = dict(zip(("x", "scale", "shift", "residual"), given, strict=True)) | change
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.affine_relu(*arguments.values(), math.nan)


@with_kernels
@pytest.mark.parametrize("gradient", [ZEROS[1:], ZEROS.half()])
def test_the_backward_refuses_another_gradient(gradient: Tensor) -> None:
    with pytest.raises(RuntimeError, match="the gradient must have the shape and the dtype"):
        torch.ops.hdetr_d2.affine_relu_backward(gradient, ZEROS, torch.ones(5), math.nan, True)


@with_kernels
@ORDERS
def test_opcheck(order: torch.memory_format) -> None:
    x, scale, shift, residual = draw(order=order)
    for added in (residual, None):
        torch.library.opcheck(torch.ops.hdetr_d2.affine_relu.default, (x, scale, shift, added, 6.0))
        arguments = (x.detach(), residual.detach(), scale, 6.0, added is not None)
        torch.library.opcheck(torch.ops.hdetr_d2.affine_relu_backward.default, arguments)


@with_kernels
def test_a_second_derivative_is_refused() -> None:
    x, scale, shift, _ = draw()
    y = affine_relu(x, scale, shift)
    (gradient,) = torch.autograd.grad(y.square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="affine_relu has no second derivative"):
        gradient.sum().backward()


@with_kernels
def test_an_exported_graph_has_the_twin() -> None:
    class Norm(torch.nn.Module):
        def forward(self, x: Tensor, scale: Tensor, shift: Tensor, residual: Tensor) -> Tensor:
            return affine_relu(x, scale, shift, residual)

    given = tuple(each.detach() for each in draw())
    with attention_as(lambda *_: torch.empty(0)):
        program = torch.export.export(Norm(), given, strict=False)
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert "aten.relu.default" in called
    assert not any("hdetr_d2" in name for name in called)
    torch.testing.assert_close(program.module()(*given), affine_relu(*given))


@pytest.mark.filterwarnings("default")
def test_the_twin_answers_without_kernels_after_one_warning(without_kernels: None) -> None:
    given = draw()
    with pytest.warns(UserWarning, match="in PyTorch's own operations, slower: They are not built"):
        y = affine_relu(*given)
    assert torch.equal(y, affine_relu_reference(*given))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        affine_relu(*given)


@pytest.mark.usefixtures("forget_graphs")
def test_a_compiled_graph() -> None:
    given = draw()
    compiled = torch.compile(affine_relu, fullgraph=True, backend="aot_eager")
    answer = differentiate(compiled, *given)
    assert all(map(torch.equal, answer, differentiate(affine_relu, *given)))


@pytest.mark.needs_cuda
@ORDERS
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_a_gpu_gives_the_same(
    sizes: tuple[int, ...], dtype: torch.dtype, order: torch.memory_format
) -> None:
    given = draw(sizes, dtype, order)
    moved = [each.detach().cuda().requires_grad_(each.requires_grad) for each in given]
    wanted = differentiate(affine_relu_reference, *exact(*given), 1.0)
    found = differentiate(affine_relu, *moved, 1.0)
    agree(*off_the_bounds(found, wanted, 1.0, DTYPES[dtype]), DTYPES[dtype])
