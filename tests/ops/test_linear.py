"""The linear layer beside PyTorch's in float64, and where it leaves the work to PyTorch."""

import sys
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from hdetr_d2.layers import Linear, replace_linears
from hdetr_d2.ops import linear

module = sys.modules["hdetr_d2.ops.linear"]
needs_onednn = pytest.mark.skipif(not module._HAS_ONEDNN, reason="PyTorch is built without oneDNN")

needs_bfloat16 = pytest.mark.skipif(
    not module._HAS_BFLOAT16, reason="oneDNN has no bfloat16 on this processor"
)
PRECISIONS = [
    pytest.param(torch.float32, id="float32"),
    pytest.param(torch.bfloat16, id="bfloat16", marks=needs_bfloat16),
]


@pytest.fixture(autouse=True, params=[True, False], ids=["wide MKL", "half MKL"])
def for_small_ones(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    monkeypatch.setattr(module, "_LEAST_PRODUCTS", 1)
    monkeypatch.setattr(module, "_MKL_IS_WIDE", request.param)


def is_a_product(out: Tensor) -> bool:
    """Whether its last step but the shape was one of oneDNN or cuBLASLt."""
    node = out.grad_fn
    while node is not None and "View" in node.name():
        node = node.next_functions[0][0]
    return "Product" in type(node).__name__


def expected(x: Tensor, weight: Tensor, bias: Tensor | None, relu: bool) -> list[Tensor]:
    """Output and gradients for a gradient of twos, of float64."""
    leaves = [
        each.detach().double().requires_grad_() for each in (x, weight, bias) if each is not None
    ]
    out = F.linear(*leaves)
    out = out.relu() if relu else out
    return [out, *torch.autograd.grad(out, leaves, torch.full_like(out, 2.0))]


@needs_onednn
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize(
    "shape", [(5, 7), (1, 7), (2, 3, 7), (2, 2, 3, 7), (1000, 64), (2, 450, 256)], ids=str
)
@pytest.mark.parametrize("outputs", [1, 4, 91, 300])
def test_output_and_gradients(
    shape: tuple[int, ...], outputs: int, with_bias: bool, relu: bool
) -> None:
    x = torch.randn(shape, requires_grad=True)
    weight = torch.randn(outputs, shape[-1], requires_grad=True)
    bias = torch.randn(outputs, requires_grad=True) if with_bias else None
    out = linear(x, weight, bias, relu=relu)
    assert is_a_product(out)
    leaves = [each for each in (x, weight, bias) if each is not None]
    found = [out, *torch.autograd.grad(out, leaves, torch.full_like(out, 2.0))]
    for own, other in zip(found, expected(x, weight, bias, relu), strict=True):
        assert own.dtype == torch.float32
        torch.testing.assert_close(own.double(), other, rtol=1e-5, atol=1e-3)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.needs_cuda)])
def by_cublaslt(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A device, on which products with a ReLU are those of CUDA: PyTorch has them on a CPU too."""
    if request.param == "cpu":
        monkeypatch.setattr(module, "_by_onednn", lambda *layer: False)
        monkeypatch.setattr(module, "_by_cublaslt", lambda *layer: True)
    return request.param


@pytest.mark.parametrize("shape", [(5, 7), (2, 3, 7), (2, 450, 256)], ids=str)
@pytest.mark.parametrize("outputs", [1, 4, 300])
def test_the_product_of_cuda_with_a_relu(
    by_cublaslt: str, shape: tuple[int, ...], outputs: int
) -> None:
    x = torch.randn(shape, device=by_cublaslt, requires_grad=True)
    weight = torch.randn(outputs, shape[-1], device=by_cublaslt, requires_grad=True)
    bias = torch.randn(outputs, device=by_cublaslt, requires_grad=True)
    out = linear(x, weight, bias, relu=True)
    assert is_a_product(out)
    found = [out, *torch.autograd.grad(out, (x, weight, bias), torch.full_like(out, 2.0))]
    for own, other in zip(found, expected(x, weight, bias, True), strict=True):
        torch.testing.assert_close(own.double(), other, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16])
def test_the_product_of_cuda_by_autocast(by_cublaslt: str, given: torch.dtype) -> None:
    x = torch.randn(2, 30, 64, device=by_cublaslt).to(given).requires_grad_()
    weight, bias = (each.to(by_cublaslt) for each in (torch.randn(9, 64), torch.randn(9)))
    with torch.autocast(by_cublaslt, torch.bfloat16):
        out = linear(x, weight.requires_grad_(), bias.requires_grad_(), relu=True)
    assert is_a_product(out) and out.dtype == torch.bfloat16
    found = [out, *torch.autograd.grad(out, (x, weight, bias), torch.full_like(out, 2.0))]
    assert [each.dtype for each in found[1:]] == [given, torch.float32, torch.float32]
    rounded = [each.detach().bfloat16() for each in (x, weight, bias)]
    for own, other in zip(found, expected(*rounded, True), strict=True):
        scale = other.abs().max().item()
        torch.testing.assert_close(own.double(), other, rtol=1e-2, atol=1e-2 * scale)


def test_by_hand() -> None:
    x, weight = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -4.0], [0.5, 0.25]])
    bias = torch.tensor([1.0, -0.5])
    assert linear(x, weight, bias).tolist() == [[-4.0, 0.5]]
    assert linear(x, weight, bias, relu=True).tolist() == [[0.0, 0.5]]


@needs_onednn
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(
    ("part", "of_weight"),
    [
        (lambda draw: draw(7, 5).T, lambda draw: draw(3, 7)),
        (lambda draw: draw(4, 6, 14)[:, ::2, ::2], lambda draw: draw(3, 7)),
        (lambda draw: draw(1, 7).expand(5, 7), lambda draw: draw(3, 7)),
        (lambda draw: draw(5, 7), lambda draw: draw(7, 3).T),
        (lambda draw: draw(5, 7), lambda draw: draw(9, 7)[2:5]),
        (lambda draw: draw(5, 7), lambda draw: draw(3, 14)[:, ::2]),
    ],
    ids=[
        "columns",
        "strided",
        "expanded",
        "weight in columns",
        "rows of a weight",
        "strided weight",
    ],
)
def test_of_parts_of_tensors(part: Callable, of_weight: Callable, dtype: torch.dtype) -> None:
    """In whole numbers, which are exact in both precisions."""

    def draw(*shape: int) -> Tensor:
        return torch.randint(-4, 5, shape).to(dtype)

    x, weight = part(draw).requires_grad_(), of_weight(draw).requires_grad_()
    out = linear(x, weight)
    assert is_a_product(out)
    found = [out, *torch.autograd.grad(out, (x, weight), torch.full_like(out, 2.0))]
    for own, other in zip(found, expected(x, weight, None, False), strict=True):
        assert torch.equal(own.double(), other)


@needs_onednn
@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_what_needs_no_gradient_gets_none(frozen: int) -> None:
    tensors = [torch.randn(6, 7), torch.randn(3, 7), torch.randn(3)]
    for place, each in enumerate(tensors):
        each.requires_grad_(place != frozen)
    linear(*tensors).sum().backward()
    assert [each.grad is None for each in tensors] == [place == frozen for place in range(3)]


@needs_onednn
def test_the_output_may_be_changed_in_place() -> None:
    x, weight = torch.randn(2, 3, 7, requires_grad=True), torch.randn(4, 7)
    hidden = torch.tensor([True, False, False])[:, None]
    out = linear(x, weight).masked_fill_(hidden, 0.0)
    assert not out[:, 0].any()
    out.sum().backward()
    assert x.grad is not None and not x.grad[:, 0].any() and x.grad[:, 1:].all()


@needs_onednn
def test_second_derivative() -> None:
    x, weight = torch.randn(6, 7, requires_grad=True), torch.randn(3, 7, requires_grad=True)

    def penalty(layer: Callable, x: Tensor, weight: Tensor) -> Tensor:
        (gradient,) = torch.autograd.grad(layer(x, weight).square().sum(), x, create_graph=True)
        return gradient.square().sum()

    found = torch.autograd.grad(penalty(linear, x, weight), (x, weight))
    pair = x.detach().double().requires_grad_(), weight.detach().double().requires_grad_()
    other = torch.autograd.grad(penalty(F.linear, *pair), pair)
    for own, exact in zip(found, other, strict=True):
        torch.testing.assert_close(own.double(), exact, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_other_numbers_are_left_to_pytorch(dtype: torch.dtype) -> None:
    x, weight = torch.randn(5, 7, dtype=dtype), torch.randn(3, 7, dtype=dtype)
    out = linear(x, weight.requires_grad_())
    assert not is_a_product(out)
    assert torch.equal(out, F.linear(x, weight))


def leaves_of(dtype: torch.dtype, *shapes: tuple[int, ...]) -> list[Tensor]:
    return [torch.randn(shape).to(dtype).requires_grad_() for shape in shapes]


@needs_onednn
@needs_bfloat16
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("given", PRECISIONS)
@pytest.mark.parametrize("outputs", [1, 4, 300])
def test_autocast_to_bfloat16(outputs: int, given: torch.dtype, relu: bool) -> None:
    (x,) = leaves_of(given, (2, 30, 64))
    weight, bias = leaves_of(torch.float32, (outputs, 64), (outputs,))
    with torch.autocast("cpu", torch.bfloat16):
        out = linear(x, weight, bias, relu=relu)
    assert is_a_product(out) and out.dtype == torch.bfloat16
    found = [out, *torch.autograd.grad(out, (x, weight, bias), torch.full_like(out, 2.0))]
    assert [each.dtype for each in found[1:]] == [given, torch.float32, torch.float32]
    rounded = [each.detach().bfloat16() for each in (x, weight, bias)]
    for own, other in zip(found, expected(*rounded, relu), strict=True):
        scale = other.abs().max().item()  # of the sums that are rounded to eight bits
        torch.testing.assert_close(own.double(), other, rtol=1e-2, atol=1e-2 * scale)


@needs_onednn
@pytest.mark.parametrize("to", [torch.float16, torch.bfloat16])
def test_autocast_of_other_numbers_is_pytorchs(to: torch.dtype, monkeypatch) -> None:
    monkeypatch.setattr(module, "_HAS_BFLOAT16", False)
    x, weight = leaves_of(torch.float32, (5, 7), (3, 7))
    with torch.autocast("cpu", to):
        out = linear(x, weight)
        assert torch.equal(out, F.linear(x, weight))
    assert not is_a_product(out)


@pytest.mark.parametrize("shape", [(7,), (0, 7), (2, 0, 7)], ids=str)
def test_one_row_and_none(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape)
    weight = torch.randn(3, 7, requires_grad=True)
    out = linear(x, weight)
    torch.testing.assert_close(out, F.linear(x, weight))
    out.sum().backward()
    assert weight.grad is not None and weight.grad.shape == (3, 7)


@pytest.mark.parametrize(
    ("x", "weight", "bias"),
    [
        ((5, 7), (3, 6), None),
        ((5, 7), (3, 7), (4,)),
        ((5, 7), (7,), (2,)),
        ((5, 7), (2, 3, 7), None),
    ],
)
def test_shapes_that_do_not_fit_are_refused(x: tuple, weight: tuple, bias: tuple | None) -> None:
    with pytest.raises(RuntimeError):
        linear(torch.randn(x), torch.randn(weight), None if bias is None else torch.randn(bias))


@needs_onednn
def test_products_in_bfloat16_are_pytorchs_affair() -> None:
    weight = torch.randn(3, 7, requires_grad=True)
    before = torch.get_float32_matmul_precision()
    try:
        for precision in ("high", "medium"):  # TF32 is for GPUs
            torch.set_float32_matmul_precision(precision)
            found = is_a_product(linear(torch.randn(5, 7), weight))
            assert found == (precision == "high")
    finally:
        torch.set_float32_matmul_precision(before)
    assert is_a_product(linear(torch.randn(5, 7), weight))


@needs_onednn
@pytest.mark.parametrize(
    ("backend", "precision", "is_ours"), [("cuda", "tf32", True), ("mkldnn", "bf16", False)]
)
def test_precision_by_pytorchs_newer_options(backend: str, precision: str, is_ours: bool) -> None:
    weight = torch.randn(3, 7, requires_grad=True)
    products = getattr(torch.backends, backend).matmul
    before = products.fp32_precision
    products.fp32_precision = precision
    try:  # torch.get_float32_matmul_precision() raises now
        assert is_a_product(linear(torch.randn(5, 7), weight)) == is_ours
    finally:
        products.fp32_precision = before
    assert is_a_product(linear(torch.randn(5, 7), weight))


@needs_onednn
def test_who_counts_or_records_meets_pytorchs_linear() -> None:
    layer, x = Linear(7, 3), torch.randn(5, 7)
    assert is_a_product(layer(x))
    with FlopCounterMode(display=False) as counter:
        layer(x)
    assert counter.get_total_flops() == 2 * 5 * 7 * 3
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    exported = torch.export.export(layer, (x,))
    assert "linear" in exported.graph_module.code
    assert "mkldnn" not in exported.graph_module.code
    traced = torch.jit.trace(layer, x)
    assert "aten::linear" in str(traced.inlined_graph)


@needs_onednn
def test_transforms_meet_pytorchs_linear() -> None:
    x, weight = torch.randn(4, 5, 7), torch.randn(3, 7)
    found = torch.vmap(torch.func.grad(lambda w, x: linear(x, w).square().sum()), (None, 0))(
        weight, x
    )
    for own, part in zip(found, x, strict=True):
        leaf = weight.clone().requires_grad_()
        F.linear(part, leaf).square().sum().backward()
        torch.testing.assert_close(own, leaf.grad)


@needs_onednn
@pytest.mark.parametrize("relu", [False, True])
def test_transforms_of_the_bias_alone(relu: bool) -> None:
    x, weight, biases = torch.randn(5, 7), torch.randn(4, 7), torch.randn(3, 4)
    wanted = torch.stack([expected(x, weight, bias, relu)[0] for bias in biases])
    found = torch.vmap(lambda bias: linear(x, weight, bias, relu=relu))(biases)
    torch.testing.assert_close(found, wanted.float())
    slopes = torch.func.grad(lambda bias: 2 * linear(x, weight, bias, relu=relu).sum())(biases[0])
    torch.testing.assert_close(slopes, expected(x, weight, biases[0], relu)[3].float())


@needs_onednn
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize(
    "bias",
    [
        pytest.param(lambda numbers: numbers[::2], id="every other"),
        pytest.param(lambda numbers: numbers[:1].expand(4), id="one for all"),
        pytest.param(lambda numbers: numbers.view(4, 2)[:, 1], id="a column"),
    ],
)
def test_of_a_bias_with_gaps(bias: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    x, weight, apart = (
        torch.ones(5, 7, dtype=dtype),
        torch.zeros(4, 7, dtype=dtype),
        torch.arange(8),
    )
    given = bias(apart.to(dtype) + 1)
    x.requires_grad_()
    out = linear(x, weight, given)
    assert is_a_product(out)
    assert out.tolist() == [given.tolist()] * 5


@needs_onednn
@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("of", ["x", "weight", "bias"])
@pytest.mark.parametrize("worst", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_a_relu_keeps_what_is_not_finite(of: str, worst: float, dtype: torch.dtype) -> None:
    """One that hid it would let a diverged run go on."""
    given = {
        "x": torch.randn(5, 7, dtype=dtype),
        "weight": torch.randn(4, 7, dtype=dtype),
        "bias": torch.randn(4, dtype=dtype),
    }
    given[of].view(-1)[:2] = torch.tensor([worst, -worst])
    given["weight" if of == "x" else "x"][0] = 2.0  # 2 * 3e38 - 2 * 3e38 is NaN
    wanted = F.relu(F.linear(**{"input" if k == "x" else k: v for k, v in given.items()}))
    torch.testing.assert_close(linear(**given, relu=True), wanted, equal_nan=True)


@needs_onednn
def test_activation_checkpoints() -> None:
    layer, x = Linear(7, 3), torch.randn(5, 7, requires_grad=True)
    out = torch.utils.checkpoint.checkpoint(lambda x: layer(x, relu=True), x, use_reentrant=False)
    plain = torch.autograd.grad(layer(x, relu=True).sum(), x)
    torch.testing.assert_close(torch.autograd.grad(out.sum(), x), plain)


def test_linears_of_another_model_are_replaced_where_they_stand() -> None:
    class Own(torch.nn.Linear):
        pass

    model = torch.nn.Sequential(torch.nn.Linear(7, 7), torch.nn.Sequential(Own(7, 3)))
    names, parameters = [*model.state_dict()], [*model.parameters()]
    replace_linears(model)
    assert type(model[0]) is Linear
    assert type(model[1][0]) is Own
    assert names == [*model.state_dict()]
    assert all(a is b for a, b in zip(parameters, model.parameters(), strict=True))
