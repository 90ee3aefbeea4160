"""Multi-scale deformable attention against numbers by hand and a slow loop, in the kernels if they
are built and in their twin.
"""

import hdetr_d2  # noqa: F401

import importlib
import math
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from hdetr_d2.ops import extension, ms_deform_attn, ms_deform_attn_reference

sys.path.insert(0, str(Path(__file__).parent))
from attention_inputs import SHAPES, differentiate, random_inputs

MODULE = importlib.import_module("hdetr_d2.ops.ms_deform_attn")
INF, NAN = math.inf, math.nan

pytestmark = pytest.mark.filterwarnings("ignore:ms_deform_attn runs in PyTorch's own operations")
either = pytest.mark.parametrize("function", [ms_deform_attn, ms_deform_attn_reference])


def slow(value, shapes, locations, weights):
    """Pixel by pixel, as the definition reads."""
    batch, _, heads, channels = value.shape
    _, queries, _, _, points, _ = locations.shape
    out = torch.zeros(batch, queries, heads, channels, dtype=value.dtype)
    start = 0
    for level, (height, width) in enumerate(shapes):
        image = value[:, start : start + height * width].view(batch, height, width, heads, channels)
        start += height * width
        for b in range(batch):
            for q in range(queries):
                for m in range(heads):
                    for p in range(points):
                        x, y = locations[b, q, m, level, p].tolist()
                        x, y = x * width - 0.5, y * height - 0.5
                        for row in (math.floor(y), math.floor(y) + 1):
                            for column in (math.floor(x), math.floor(x) + 1):
                                if 0 <= row < height and 0 <= column < width:
                                    share = (1 - abs(x - column)) * (1 - abs(y - row))
                                    sample = image[b, row, column, m] * share
                                    out[b, q, m] += weights[b, q, m, level, p] * sample
    return out.flatten(2)


def sample_two_by_two(function, spots):
    """Samples the image [[1, 2], [3, 4]] at each of the spots with the weight 1: a tensor."""
    value = torch.tensor([1.0, 2, 3, 4]).view(1, 4, 1, 1)
    locations = torch.tensor(spots).view(1, -1, 1, 1, 1, 2)
    weights = torch.ones(locations.shape[:-1])
    return differentiate(function, value, [(2, 2)], locations, weights)


@either
def test_by_hand(function):
    spots = [[0.25, 0.25], [0.5, 0.5], [0.75, 0.5], [0.0, 0.0], [2.0, 2.0]]
    out = sample_two_by_two(function, spots)[0]
    # A cell's centre, the middle of all, between two cells, a corner (three of four neighbours
    # outside), outside.
    torch.testing.assert_close(out.flatten(), torch.tensor([1.0, 2.5, 3.0, 0.25, 0.0]))


@either
def test_gradients_by_hand(function):
    # Shares (3/4, 1/4) along both axes. A location moves by two cells for each 1.
    value = torch.tensor([1.0, 2, 3, 4]).view(1, 4, 1, 1).requires_grad_()
    location = torch.tensor([0.375, 0.375]).view(1, 1, 1, 1, 1, 2).requires_grad_()
    weight = torch.tensor(5.0).view(1, 1, 1, 1, 1).requires_grad_()
    function(value, [(2, 2)], location, weight).backward()
    expected = 5 * torch.tensor([9.0, 3, 3, 1]) / 16
    torch.testing.assert_close(value.grad.flatten(), expected)
    torch.testing.assert_close(location.grad.flatten(), torch.tensor([10.0, 20.0]))
    torch.testing.assert_close(weight.grad.flatten(), torch.tensor([1.75]))


@either
@pytest.mark.parametrize(
    "queries, heads, channels, points", [(5, 3, 2, 2), (1, 1, 1, 1), (4, 2, 5, 3), (2, 1, 17, 5)]
)
def test_against_the_definition(function, queries, heads, channels, points):
    inputs = random_inputs(queries=queries, heads=heads, channels=channels, points=points)
    torch.testing.assert_close(function(*inputs), slow(*inputs))


@either
def test_many_thin_levels(function):
    shapes = [(1, 1), (1, 7), (5, 1), *[(1, 2)] * 70]
    inputs = random_inputs(batch=1, queries=2, heads=1, shapes=shapes)
    torch.testing.assert_close(function(*inputs), slow(*inputs))


@either
def test_non_contiguous(function):
    value, shapes, locations, weights = random_inputs()
    strided = value.transpose(1, 2).contiguous().transpose(1, 2)
    flipped = locations.transpose(0, 5).contiguous().transpose(0, 5)
    spread = torch.stack([weights, weights], -1).flatten(-2)[..., ::2]
    assert not (strided.is_contiguous() or flipped.is_contiguous() or spread.is_contiguous())
    expected = differentiate(function, value, shapes, locations, weights)
    answer = differentiate(function, strided, shapes, flipped, spread)
    torch.testing.assert_close(answer, expected, rtol=0, atol=0)


@either
def test_a_gradient_without_strides(function):
    value, shapes, locations, weights = random_inputs()
    value.requires_grad_()
    (by_sum,) = torch.autograd.grad(function(value, shapes, locations, weights).sum(), value)
    out = function(value, shapes, locations, weights)
    (by_ones,) = torch.autograd.grad(out, value, torch.ones_like(out))
    assert torch.equal(by_sum, by_ones)


@either
@pytest.mark.parametrize("empty", ["batch", "queries", "heads", "channels", "points"])
def test_empty(function, empty):
    sizes = dict(batch=2, queries=3, heads=3, channels=2, points=2) | {empty: 0}
    inputs = random_inputs(**sizes)
    out, *gradients = differentiate(function, *inputs)
    assert out.shape == (sizes["batch"], sizes["queries"], sizes["heads"] * sizes["channels"])
    assert not out.any()
    for gradient, tensor in zip(gradients, (inputs[0], *inputs[2:]), strict=True):
        assert gradient.shape == tensor.shape
        assert not gradient.any()


@either
def test_gradients(function):
    value, shapes, locations, weights = random_inputs(queries=2, heads=2)
    inputs = [tensor.requires_grad_() for tensor in (value, locations, weights)]
    assert torch.autograd.gradcheck(lambda v, s, w: function(v, shapes, s, w), inputs)


@either
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("precise_weights", [True, False])
def test_sixteen_bit_values_with_precise_locations(function, dtype, precise_weights):
    value, shapes, locations, weights = random_inputs(dtype=torch.float32)
    value = value.to(dtype)
    weights = weights.to(dtype).float() if precise_weights else weights.to(dtype)
    answer = differentiate(function, value, shapes, locations, weights)
    exact = differentiate(function, value.float(), shapes, locations, weights.float())
    for got, wanted, tensor in zip(answer, exact, (value, value, locations, weights), strict=True):
        assert got.dtype == tensor.dtype
        # Sums are in float32, and rounded once.
        torch.testing.assert_close(got, wanted.to(got.dtype), rtol=0.02, atol=0.02)


def test_locations_and_weights_are_taken_in_the_dtypes_that_go_with_the_value():
    value, shapes, locations, weights = random_inputs()
    single = [tensor.float() for tensor in (value, locations, weights)]
    expected = ms_deform_attn(single[0], shapes, single[1], single[2])
    assert torch.equal(ms_deform_attn(single[0], shapes, locations, weights), expected)
    # A float64 value is sampled in float64, with what precision the others have.
    wide = ms_deform_attn(value, shapes, single[1], single[2])
    assert wide.dtype == torch.float64
    expected = ms_deform_attn(value, shapes, single[1].double(), single[2].double())
    assert torch.equal(wide, expected)


@either
@pytest.mark.parametrize("lost", [NAN, INF, -INF])
def test_locations_that_are_not_finite_show(function, lost):
    spots = [[lost, 0.5], [0.5, lost], [lost, lost], [lost, 5.0], [5.0, lost], [0.3, 0.3]]
    shows = [True] * 5 + [False]
    out, by_value, by_locations, by_weights = sample_two_by_two(function, spots)
    assert out.flatten().isnan().tolist() == shows
    assert by_weights.flatten().isnan().tolist() == shows
    assert by_value.isnan().any()
    assert by_locations.view(6, 2).isnan().any(-1).tolist() == shows


@either
@pytest.mark.parametrize("far", [1.6, -0.6, 1e6, -1e10, 1e30, 3e38, -3e38])
def test_what_is_outside_samples_nothing_however_far(function, far):
    spots = [[far, 0.5], [0.5, far], [far, far], [far, -far], [0.25, 0.25]]
    out, by_value, by_locations, by_weights = sample_two_by_two(function, spots)
    assert out.flatten().tolist() == [0, 0, 0, 0, 1]
    assert by_value.flatten().tolist() == pytest.approx([1, 0, 0, 0])  # the last factor is 1
    assert not by_locations.flatten()[:8].any()
    assert not by_weights.flatten()[:4].any()


@either
def test_values_that_are_not_finite_stay_where_they_are_sampled(function):
    value = torch.tensor([NAN, 2, 3, 4]).view(1, 4, 1, 1)
    locations = torch.tensor([[0.5, 0.5], [0.75, 0.9], [9.0, 9.0]]).view(1, 3, 1, 1, 1, 2)
    out = function(value, [(2, 2)], locations, torch.ones(1, 3, 1, 1, 1))
    assert out.flatten().isnan().tolist() == [True, False, False]


@either
def test_shapes_may_be_lists_and_numpy_integers(function):
    value, shapes, locations, weights = random_inputs()
    expected = function(value, shapes, locations, weights)
    for same in (
        [list(shape) for shape in shapes],
        [torch.Size(s) for s in shapes],
        np.array(shapes),
    ):
        assert torch.equal(function(value, same, locations, weights), expected)


def bad(**change):
    names = ("value", "shapes", "locations", "weights")
    return dict(zip(names, random_inputs(), strict=True)) | change


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(shapes=((3, 4), (2, 3))), ValueError, "18 cells together, but value has 16"),
        (dict(shapes=()), ValueError, "at least"),
        (dict(shapes=((3, 4), (0, 4))), ValueError, r"\(0, 4\)"),
        (dict(shapes=((-3, -4), (2, 2))), ValueError, r"\(-3, -4\)"),
        (dict(shapes=((3, 4), (2, 2, 1))), ValueError, r"\(2, 2, 1\)"),
        (dict(shapes=((3.0, 4.0), (2, 2))), TypeError, "integers"),
        (dict(shapes=torch.tensor(SHAPES)), TypeError, "drop_in"),
        (dict(shapes=((16, 1),)), ValueError, "1 levels"),
        (dict(value=torch.zeros(2, 16, 6)), ValueError, r"takes value \[B, S, M, D\]"),
        (dict(locations=torch.zeros(2, 5, 3, 2, 4)), ValueError, r"\[B, Q, M, L, P, 2\]"),
        (dict(weights=torch.zeros(2, 5, 3, 4)), ValueError, r"\[B, Q, M, L, P\]"),
        (
            dict(weights=torch.zeros(2, 5, 3, 2, 3)),
            ValueError,
            r"attention_weights \(2, 5, 3, 2, 2",
        ),
        (dict(locations=torch.zeros(2, 5, 3, 2, 2, 3)), ValueError, r"\(2, 5, 3, 2, 2, 2\)"),
        (dict(locations=torch.zeros(1, 5, 3, 2, 2, 2)), ValueError, r"not \(1, 5, 3, 2, 2, 2\)"),
        (dict(value=torch.zeros(2, 16, 3, 2, dtype=torch.int64)), TypeError, "value must be float"),
        (dict(weights=torch.zeros(2, 5, 3, 2, 2, dtype=torch.bool)), TypeError, "attention_weig"),
        (dict(locations=torch.zeros(2, 5, 3, 2, 2, 2, dtype=torch.cfloat)), TypeError, "sampling_"),
        (dict(weights=torch.zeros(2, 5, 3, 2, 2, device="meta")), ValueError, "on meta, but value"),
    ],
)
def test_what_does_not_fit_is_told(change, error, message):
    with pytest.raises(error, match=message):
        ms_deform_attn(*bad(**change).values())


# ---- autocast


def one_bright_column():
    """A level of 1 x 300 that is 1 in the column 225 and 0 elsewhere, sampled in the middle of that
    column. In bfloat16 the location is half a column off.
    """
    value = torch.zeros(1, 300, 1, 1)
    value[0, 225] = 1
    locations = torch.tensor([225.5 / 300, 0.5]).view(1, 1, 1, 1, 1, 2)
    return value, [(1, 300)], locations, torch.ones(1, 1, 1, 1, 1)


def test_autocast_casts_the_value_and_not_the_locations():
    value, shapes, locations, weights = one_bright_column()
    assert ms_deform_attn(value, shapes, locations.bfloat16(), weights).item() < 0.6
    inputs = [tensor.requires_grad_() for tensor in (value, locations, weights)]
    with torch.autocast("cpu", torch.bfloat16):
        out = ms_deform_attn(inputs[0], shapes, *inputs[1:])
    assert out.dtype == torch.bfloat16
    assert out.item() == pytest.approx(1, abs=1e-2)
    out.sum().backward()
    assert [tensor.grad.dtype for tensor in inputs] == [torch.float32] * 3


@pytest.mark.parametrize("weights_dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_autocast_keeps_precise_weights(weights_dtype):
    value, shapes, locations, weights = random_inputs(dtype=torch.float32)
    weights = weights.to(weights_dtype)
    with torch.autocast("cpu", torch.bfloat16):
        out = ms_deform_attn(value, shapes, locations, weights)
    assert torch.equal(out, ms_deform_attn(value.bfloat16(), shapes, locations, weights))


def test_autocast_leaves_float64():
    inputs = random_inputs()
    with torch.autocast("cpu", torch.bfloat16):
        out = ms_deform_attn(*inputs)
    assert torch.equal(out, ms_deform_attn(*inputs))


# ---- without kernels


@pytest.fixture
def forget_warnings() -> Iterator[None]:
    """Reasons are asked for once and warned of once: start afresh, and leave nothing behind."""
    caches = (MODULE.why_no_kernels, extension.warn_of_fallback)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.mark.filterwarnings("default")
def test_missing_kernels_warn_once_and_say_why(forget_warnings, monkeypatch):
    reason = "The CPU kernels (x/_C.abi3.so) failed to load: OSError: undefined symbol: lost."
    monkeypatch.setattr(MODULE, "why_no_kernel", lambda op, device: reason)
    inputs = random_inputs()
    with pytest.warns(UserWarning) as caught:
        out = ms_deform_attn(*inputs)
    (warning,) = caught
    assert reason in str(warning.message)
    assert "python -m hdetr_d2.doctor" in str(warning.message)
    assert warning.filename == __file__  # where the function was called
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        torch.testing.assert_close(ms_deform_attn(*inputs), out)
    assert torch.equal(out, ms_deform_attn_reference(*inputs))


@pytest.mark.filterwarnings("default")
def test_a_dtype_that_the_kernels_lack(forget_warnings):
    value, shapes, locations, weights = random_inputs(dtype=torch.float32)
    value = value.to(torch.float8_e4m3fn)
    with pytest.warns(UserWarning, match="do not take values of torch.float8_e4m3fn"):
        out = ms_deform_attn(value, shapes, locations, weights)
    exact = ms_deform_attn_reference(value.float(), shapes, locations, weights)
    assert torch.equal(out.float(), exact.to(out.dtype).float())


def test_more_levels_than_a_cuda_kernel_takes(forget_warnings, monkeypatch):
    monkeypatch.setattr(MODULE, "why_no_kernel", lambda op, device: "")
    gpu = torch.device("cuda", 0)
    assert "64 levels at most, not 65" in MODULE.why_no_kernels(gpu, torch.float32, 65)
    assert MODULE.why_no_kernels(gpu, torch.float32, 64) == ""
    assert MODULE.why_no_kernels(torch.device("cpu"), torch.float32, 65) == ""


def test_autocast_is_the_same_without_kernels(forget_warnings, monkeypatch):
    value, shapes, locations, weights = random_inputs(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        expected = ms_deform_attn(value, shapes, locations, weights)
        monkeypatch.setattr(MODULE, "why_no_kernel", lambda op, device: "missing.")
        MODULE.why_no_kernels.cache_clear()
        out = ms_deform_attn(value, shapes, locations, weights)
    assert out.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(out, expected)


def test_without_data():
    """On the meta device there are shapes only."""
    value, shapes, locations, weights = random_inputs()
    inputs = [tensor.to("meta") for tensor in (value, locations, weights)]
    out = ms_deform_attn(inputs[0], shapes, *inputs[1:])
    assert (out.shape, out.dtype, out.device.type) == ((2, 5, 6), torch.float64, "meta")


def test_kernels_are_used_where_they_are_built():
    kernels = extension.why_no_kernel("ms_deform_attn", torch.device("cpu")) == ""
    assert (
        MODULE._use_kernels(torch.device("cpu"), torch.float32, 4)
        == kernels
        == extension.CPU.loaded
    )
