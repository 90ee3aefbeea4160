"""The compiled kernels on CUDA, against their twin."""

import hdetr_d2  # noqa: F401

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import extension, ms_deform_attn, ms_deform_attn_reference

sys.path.insert(0, str(Path(__file__).parent))
from attention_inputs import SHAPES, random_inputs

DEVICE = torch.device("cuda")
OP = torch.ops.hdetr_d2
FLAT = [size for shape in SHAPES for size in shape]
PYRAMID = ((19, 23), (10, 12), (5, 6), (3, 3))
# Of float32 the order of the additions differs, the 16-bit dtypes are rounded to 1 in 256 or 2048.
TOLERANCES = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.bfloat16: 5e-3,
    torch.float16: 6e-4,
}

pytestmark = pytest.mark.needs_cuda


@pytest.fixture(autouse=True)
def kernels() -> None:
    reason = extension.why_no_kernel("ms_deform_attn", DEVICE)
    if reason:
        pytest.skip(reason)


@pytest.fixture(params=[False, True], ids=["plain", "deterministic"])
def deterministic(request: pytest.FixtureRequest) -> Iterator[bool]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(request.param, warn_only=True)
    yield request.param
    torch.use_deterministic_algorithms(before)


def inputs_on_device(**sizes) -> tuple:
    value, shapes, locations, weights = random_inputs(**sizes)
    return value.to(DEVICE), shapes, locations.to(DEVICE), weights.to(DEVICE)


def op_inputs(**sizes) -> tuple[Tensor, Tensor, list[int], Tensor, Tensor]:
    """Arguments of the backward op, less the last."""
    value, shapes, locations, weights = inputs_on_device(**sizes)
    flat = [size for shape in shapes for size in shape]
    grad_output = torch.randn(*weights.shape[:2], value[0, 0].numel()).to(value)
    return grad_output, value, flat, locations, weights


def run(function: Callable, inputs: tuple, grad_output: Tensor) -> list[Tensor]:
    """The output, and the gradients by value, locations and weights."""
    value, shapes, locations, weights = inputs
    leaves = [tensor.detach().requires_grad_() for tensor in (value, locations, weights)]
    out = function(leaves[0], shapes, leaves[1], leaves[2])
    return [out.detach(), *torch.autograd.grad(out, leaves, grad_output)]


def assert_agrees(inputs: tuple) -> None:
    """With the twin in float64, by the largest entry of the output and of each gradient."""
    value, shapes, locations, weights = inputs
    grad_output = torch.randn(*weights.shape[:2], value[0, 0].numel()).to(value)
    answer = run(ms_deform_attn, inputs, grad_output)
    assert [t.dtype for t in answer[1:]] == [t.dtype for t in (value, locations, weights)]
    exact = (value.double(), shapes, locations.double(), weights.double())
    expected = run(ms_deform_attn_reference, exact, grad_output.double())
    for actual, wanted in zip(answer, expected, strict=True):
        error = (actual.double() - wanted).abs().max() / wanted.abs().max()
        assert error < TOLERANCES[actual.dtype]


# Channels: fewer than a vector, every size of a team, odd, and more than the largest team covers.
SIZES = [
    dict(channels=1, points=1, heads=1, queries=1),
    dict(channels=3, points=5, heads=2, queries=7),
    dict(channels=8, points=3, heads=2, queries=70),
    dict(channels=16, points=4, heads=2, queries=33),
    dict(channels=32, points=4, heads=8, queries=300, shapes=PYRAMID),
    dict(channels=32, points=4, heads=8, queries=437 + 120 + 30 + 9, shapes=PYRAMID),  # the cells
    dict(channels=20, points=3, heads=3, queries=437 + 120 + 30 + 9, shapes=PYRAMID),
    dict(channels=33, points=9, heads=3, queries=4, shapes=((1, 9), (8, 1))),
    dict(channels=64, points=4, heads=2, queries=50),
    dict(channels=80, points=2, heads=2, queries=130, batch=3),
    dict(channels=300, points=2, heads=1, queries=20, batch=1),
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_the_twin_agrees(sizes, dtype, deterministic):
    assert_agrees(inputs_on_device(**sizes, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_precise_weights_of_sixteen_bit_values(dtype, deterministic):
    value, shapes, locations, weights = inputs_on_device(channels=32, queries=40, dtype=dtype)
    assert_agrees((value, shapes, locations, weights.float()))


def test_inputs_that_are_not_contiguous_or_not_aligned():
    value, shapes, locations, weights = inputs_on_device(channels=32, dtype=torch.float32)
    shifted = torch.empty(value.numel() + 1, device=DEVICE)[1:].view(value.shape).copy_(value)
    strided = value.transpose(1, 2).contiguous().transpose(1, 2)
    for same in (shifted, strided):
        assert_agrees((same, shapes, locations.flip(1).contiguous().flip(1), weights))


def test_empty(deterministic):
    for batch, queries in ((0, 5), (2, 0), (0, 0)):
        inputs = inputs_on_device(batch=batch, queries=queries, dtype=torch.float16)
        grad_output = torch.ones(batch, queries, 3 * 2, device=DEVICE, dtype=torch.float16)
        _, by_value, by_locations, by_weights = run(ms_deform_attn, inputs, grad_output)
        assert not by_value.any()
        assert by_locations.numel() == by_weights.numel() == 0


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_strange_locations(number):
    value, shapes, locations, weights = inputs_on_device(channels=32, dtype=torch.float32)
    locations[0, 1, 1, 1, 1, 0] = number
    locations[1, 2, 0] = number
    inputs = (value, shapes, locations, weights)
    torch.testing.assert_close(
        ms_deform_attn(*inputs), ms_deform_attn_reference(*inputs), equal_nan=True
    )


def test_gradcheck_in_float64(deterministic):
    value, shapes, locations, weights = inputs_on_device(batch=1, queries=2, channels=4)
    inputs = [tensor.requires_grad_() for tensor in (value, locations, weights)]
    assert torch.autograd.gradcheck(
        lambda v, s, w: ms_deform_attn(v, shapes, s, w), inputs, nondet_tol=1e-12
    )


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_deterministic_runs_are_equal_to_the_bit(dtype):
    # Thousands of samples in each of a few cells.
    arguments = op_inputs(queries=3000, heads=8, channels=32, points=4, dtype=dtype)
    first, *others = (OP.ms_deform_attn_backward(*arguments, True) for _ in range(20))
    for other in others:
        assert all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("name", ["grad_output", "locations", "weights"])
@pytest.mark.parametrize("deterministic", [False, True])
def test_a_loss_scaler_sees_what_is_not_finite(name, deterministic):
    grad_output, value, flat, locations, weights = op_inputs(channels=32, dtype=torch.float32)
    spoilt = dict(grad_output=grad_output, locations=locations, weights=weights)[name]
    locations.fill_(0.4)
    spoilt.view(-1)[7] = torch.inf
    arguments = (grad_output, value, flat, locations, weights)
    by_value, *_ = OP.ms_deform_attn_backward(*arguments, deterministic)
    assert not by_value.isfinite().all()


@pytest.fixture
def synchronisations_raise() -> Iterator[None]:
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_the_host_never_waits(dtype, deterministic, request):
    inputs = inputs_on_device(channels=32, dtype=dtype)
    grad_output = torch.ones(2, 5, 3 * 32, device=DEVICE, dtype=dtype)
    tensors = [inputs[i].requires_grad_() for i in (0, 2, 3)]
    request.getfixturevalue("synchronisations_raise")
    torch.autograd.grad(ms_deform_attn(*inputs), tensors, grad_output)


@pytest.mark.parametrize("queries", [50, 16], ids=["any", "the cells"])
@pytest.mark.parametrize("deterministic", [False, True])
def test_a_cuda_graph_repeats_it(deterministic, queries):
    grad_output, *arguments = op_inputs(channels=32, queries=queries, dtype=torch.bfloat16)
    value, _, locations, weights = arguments

    def step() -> list[Tensor]:
        gradients = OP.ms_deform_attn_backward(grad_output, *arguments, deterministic)
        return [OP.ms_deform_attn(*arguments), *gradients]

    aside = torch.cuda.Stream()
    with torch.cuda.stream(aside):
        step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = step()
    for tensor in (grad_output, value, weights):
        tensor.mul_(2)
    locations.mul_(0.75)
    graph.replay()
    torch.cuda.synchronize()
    for repeated, eager in zip(captured, step(), strict=True):
        torch.testing.assert_close(repeated, eager)


def test_the_current_stream_is_used():
    inputs = inputs_on_device(channels=32, queries=300, dtype=torch.float32)
    expected = ms_deform_attn(*inputs)
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        torch.cuda._sleep(10**8)
        late = [inputs[0] + 0, *inputs[1:]]  # there only after the sleep
        out = ms_deform_attn(*late)
    aside.synchronize()
    assert torch.equal(out, expected)


@pytest.mark.needs_cuda(gigabytes=36)
@pytest.mark.parametrize("deterministic", [False, True])
def test_offsets_beyond_32_bits(deterministic):
    batch, side, heads, channels = 33, 256, 8, 128
    assert batch * side * side * heads * channels > 2**31
    value = torch.zeros(batch, side * side, heads, channels, dtype=torch.float16, device=DEVICE)
    value[-1].normal_()
    _, _, locations, weights = inputs_on_device(
        batch=1, heads=heads, shapes=((side, side),), dtype=torch.float16
    )
    locations = locations.expand(batch, *locations.shape[1:])
    weights = weights.expand(batch, *weights.shape[1:])
    grad_output = torch.randn(batch, 5, heads * channels, device=DEVICE).half()
    flat = [side, side]
    last = [tensor[-1:].clone() for tensor in (grad_output, value, locations, weights)]

    out = OP.ms_deform_attn(value, flat, locations, weights)
    assert not out[:-1].any()
    assert torch.equal(out[-1:], OP.ms_deform_attn(last[1], flat, *last[2:]))
    gradients = OP.ms_deform_attn_backward(
        grad_output, value, flat, locations, weights, deterministic
    )
    alone = OP.ms_deform_attn_backward(*last[:2], flat, *last[2:], deterministic)
    for gradient, wanted in zip(gradients, alone, strict=True):
        torch.testing.assert_close(gradient[-1:], wanted)


def test_more_levels_than_fit_a_kernel():
    shapes = ((1, 2),) * 65
    value, _, locations, weights = inputs_on_device(shapes=shapes, dtype=torch.float32)
    with pytest.raises(RuntimeError, match="64 levels at most, not 65"):
        OP.ms_deform_attn(value, [1, 2] * 65, locations, weights)
    with pytest.warns(UserWarning, match="64 levels"):
        out = ms_deform_attn(value, shapes, locations, weights)
    torch.testing.assert_close(out, ms_deform_attn_reference(value, shapes, locations, weights))


def test_arguments_on_different_devices():
    value, _, locations, weights = random_inputs(dtype=torch.float32)
    with pytest.raises(RuntimeError, match="device"):
        OP.ms_deform_attn(value.to(DEVICE), FLAT, locations, weights.to(DEVICE))
