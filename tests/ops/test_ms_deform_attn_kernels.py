"""The compiled kernels on the CPU: against their twin, and under PyTorch's own checks of an op."""

import hdetr_d2  # noqa: F401

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hdetr_d2.ops import extension, ms_deform_attn, ms_deform_attn_reference

sys.path.insert(0, str(Path(__file__).parent))
from attention_inputs import SHAPES, differentiate, random_inputs

WHY_NOT = extension.why_no_kernel("ms_deform_attn", torch.device("cpu"))
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)

FLAT = [size for shape in SHAPES for size in shape]
# Of float32 the order of the additions differs, the 16-bit dtypes are rounded to 1 in 256 or 2048.
TOLERANCES = {
    torch.float64: 1e-12,
    torch.float32: 1e-5,
    torch.bfloat16: 2e-2,
    torch.float16: 3e-3,
}


def op_arguments(**sizes) -> tuple:
    value, _, locations, weights = random_inputs(**sizes)
    return value, FLAT, locations, weights


def relative_errors(answer, expected) -> list[float]:
    """Of the output and of each gradient, by its largest entry."""
    pairs = zip(answer, expected, strict=True)
    return [
        ((a.double() - b.double()).abs().max() / b.double().abs().max()).item() for a, b in pairs
    ]


# Channels: one, odd, several times the lanes of a vector and a rest. Points: one, a vector of them
# and a rest.
SIZES = [
    dict(channels=1, points=1, heads=1, queries=1),
    dict(channels=3, points=5, heads=2, queries=7),
    dict(channels=16, points=4, heads=2, queries=33),
    dict(channels=32, points=4, heads=8, queries=9, shapes=((9, 7), (5, 4), (3, 2), (1, 1))),
    dict(channels=33, points=9, heads=3, queries=4, shapes=((1, 9), (8, 1))),
    dict(channels=67, points=2, heads=1, queries=130, batch=3),
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_the_twin_agrees(sizes, dtype):
    inputs = random_inputs(**sizes, dtype=dtype)
    answer = differentiate(ms_deform_attn, *inputs)
    expected = differentiate(ms_deform_attn_reference, *inputs)
    assert [tensor.dtype for tensor in answer] == [tensor.dtype for tensor in expected]
    assert max(relative_errors(answer, expected)) < TOLERANCES[dtype]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_precise_weights_of_sixteen_bit_values(dtype):
    value, shapes, locations, weights = random_inputs(channels=32, queries=40, dtype=dtype)
    inputs = (value, shapes, locations, weights.float())
    answer = differentiate(ms_deform_attn, *inputs)
    expected = differentiate(ms_deform_attn_reference, *inputs)
    assert answer[3].dtype == torch.float32
    assert max(relative_errors(answer, expected)) < TOLERANCES[dtype]


def test_on_the_borders_of_cells_the_output_agrees():
    # Half-cell steps from one cell outside to one cell outside; the derivative jumps there.
    height, width = 4, 6
    x = torch.arange(-2, 2 * width + 3) / (2 * width)
    y = torch.arange(-2, 2 * height + 3) / (2 * height)
    locations = torch.cartesian_prod(x, y).view(1, -1, 1, 1, 1, 2)
    value, weights = torch.randn(1, height * width, 1, 5), torch.ones(locations.shape[:-1])
    inputs = (value, [(height, width)], locations, weights)
    torch.testing.assert_close(ms_deform_attn(*inputs), ms_deform_attn_reference(*inputs))


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("differentiable", [True, False])
def test_opcheck_forward(dtype, differentiable):
    value, shapes, locations, weights = op_arguments(dtype=dtype)
    tensors = [t.requires_grad_(differentiable) for t in (value, locations, weights)]
    arguments = (tensors[0], shapes, tensors[1], tensors[2])
    torch.library.opcheck(torch.ops.hdetr_d2.ms_deform_attn.default, arguments)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_opcheck_backward(dtype):
    arguments = op_arguments(dtype=dtype)
    grad_output = torch.randn(2, 5, 6, dtype=dtype)
    op = torch.ops.hdetr_d2.ms_deform_attn_backward.default
    torch.library.opcheck(op, (grad_output, *arguments, False))
    torch.library.opcheck(
        op, (grad_output.transpose(0, 1).contiguous().transpose(0, 1), *arguments, True)
    )


@pytest.mark.parametrize("shapes", [SHAPES, ((1, 1), (7, 1), (2, 3))])
@pytest.mark.parametrize("channels", [1, 17])
def test_gradcheck_in_float64(shapes, channels):
    value, shapes, locations, weights = random_inputs(
        batch=1, queries=2, heads=2, channels=channels, shapes=shapes
    )
    inputs = [tensor.requires_grad_() for tensor in (value, locations, weights)]
    assert torch.autograd.gradcheck(
        lambda v, s, w: ms_deform_attn(v, shapes, s, w), inputs, fast_mode=channels > 1
    )


def test_a_second_derivative_is_refused():
    value, shapes, locations, weights = random_inputs()
    value.requires_grad_()
    out = ms_deform_attn(value, shapes, locations, weights)
    (gradient,) = torch.autograd.grad(out.square().sum(), value, create_graph=True)
    with pytest.raises(RuntimeError, match="ms_deform_attn has no second derivative"):
        gradient.sum().backward()


class Recorder(TorchDispatchMode):
    """Keeps the arguments of every call of the backward op."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.hdetr_d2.ms_deform_attn_backward.default:
            self.calls.append(args)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def restore_determinism() -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("deterministic", [True, False])
def test_the_backward_is_told_whether_to_be_deterministic(deterministic, restore_determinism):
    torch.use_deterministic_algorithms(not deterministic)
    value, shapes, locations, weights = random_inputs()
    out = ms_deform_attn(value.requires_grad_(), shapes, locations, weights)
    torch.use_deterministic_algorithms(deterministic)  # what holds is what holds at backward time
    with Recorder() as recorder:
        out.sum().backward()
    ((*_, told),) = recorder.calls
    assert told is deterministic


@pytest.fixture
def restore_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("queries", [7, 700], ids=["few", "many"])
def test_equal_to_the_bit_with_any_number_of_threads(dtype, queries, restore_threads):
    shapes = ((20, 24), (10, 12), (5, 6))
    inputs = random_inputs(
        batch=2, queries=queries, heads=3, channels=20, shapes=shapes, dtype=dtype
    )
    answers = []
    for threads in (1, 2, 4, 1):
        torch.set_num_threads(threads)
        answers.append(differentiate(ms_deform_attn, *inputs))
    for other in answers[1:]:
        assert all(torch.equal(a, b) for a, b in zip(answers[0], other, strict=True))


def bad(**change) -> tuple:
    names = ("value", "shapes", "locations", "weights")
    arguments = dict(zip(names, op_arguments(dtype=torch.float32), strict=True)) | change
    return tuple(arguments.values())


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(shapes=[3, 4, 2, 3]), "18 cells together, but value has 16"),
        (dict(shapes=[3, 4, 2, 1]), "14 cells together, but value has 16"),
        (dict(shapes=[-3, -4, 2, 2]), "spatial_shapes|level 0 has the size -3 x -4"),
        (dict(shapes=[2**31, 2**31, 2, 2]), "spatial_shapes|level 0"),
        (dict(shapes=[3, 4, 2]), "spatial_shapes"),
        (dict(shapes=[]), "spatial_shapes"),
        (dict(value=torch.zeros(2, 16, 6)), "value"),
        (dict(value=torch.zeros(2, 16, 3, 2, dtype=torch.int32)), "value must be float"),
        (dict(value=torch.zeros(2, 16, 4, 2)), "sampling_locations"),
        (dict(locations=torch.zeros(2, 5, 3, 2, 2, 2, dtype=torch.float64)), "sampling_locations"),
        (dict(locations=torch.zeros(2, 5, 3, 2, 2, 2, dtype=torch.bfloat16)), "sampling_locations"),
        (dict(locations=torch.zeros(2, 5, 3, 2, 2, 3)), "sampling_locations"),
        (dict(weights=torch.zeros(2, 5, 3, 2, 2, dtype=torch.float16)), "attention_weights"),
        (dict(weights=torch.zeros(2, 5, 3, 2, 1)), "attention_weights"),
        (dict(weights=torch.zeros(2, 5, 3, 4)), "attention_weights"),
    ],
)
def test_the_op_itself_refuses_what_does_not_fit(change, message):
    arguments = bad(**change)
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.ms_deform_attn(*arguments)
    with pytest.raises(RuntimeError, match=message):
        torch.ops.hdetr_d2.ms_deform_attn_backward(torch.zeros(2, 5, 6), *arguments, False)


@pytest.mark.parametrize(
    "grad_output",
    [torch.zeros(2, 5, 7), torch.zeros(2, 30), torch.zeros(2, 5, 6, dtype=torch.float64)],
    ids=["size", "rank", "dtype"],
)
def test_the_backward_refuses_another_gradient(grad_output):
    with pytest.raises(RuntimeError, match="grad_output"):
        torch.ops.hdetr_d2.ms_deform_attn_backward(grad_output, *bad(), False)


def test_autocast_of_the_op_itself():
    value, sizes, locations, weights = op_arguments(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        # What autocast made of the arguments before is put right, too.
        out = torch.ops.hdetr_d2.ms_deform_attn(value, sizes, locations, weights.half())
        double = torch.ops.hdetr_d2.ms_deform_attn(
            value.double(), sizes, locations.double(), weights.double()
        )
    expected = torch.ops.hdetr_d2.ms_deform_attn(
        value.bfloat16(), sizes, locations, weights.half().float()
    )
    assert torch.equal(out, expected)
    assert double.dtype == torch.float64
