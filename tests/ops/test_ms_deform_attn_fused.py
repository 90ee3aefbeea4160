"""Multi-scale deformable attention from the rows of its queries, in the kernels if they are built
and in their twin: numbers by hand, the unfused operator, and what does not fit."""

import hdetr_d2  # noqa: F401

import importlib
import math
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hdetr_d2.ops import (
    extension,
    ms_deform_attn_fused,
    ms_deform_attn_fused_reference,
    ms_deform_attn_reference,
)
from hdetr_d2.ops.portable import attention_as

sys.path.insert(0, str(Path(__file__).parent))
from attention_inputs import SHAPES, differentiate_rows, random_rows

MODULE = importlib.import_module("hdetr_d2.ops.ms_deform_attn_fused")
INF, NAN = math.inf, math.nan

pytestmark = pytest.mark.filterwarnings("ignore:ms_deform_attn runs in PyTorch's own operations")
either = pytest.mark.parametrize("function", [ms_deform_attn_fused, ms_deform_attn_fused_reference])


def composition(value: Tensor, shapes, reference: Tensor, rows: Tensor) -> Tensor:
    """As the definition reads: one head, level and point after the other."""
    batch, queries, levels, numbers = reference.shape
    heads = value.shape[2]
    points = rows.shape[2] // (3 * heads * levels)
    offsets, logits = rows.split([rows.shape[2] // 3 * 2, rows.shape[2] // 3], -1)
    offsets = offsets.view(batch, queries, heads, levels, points, 2)
    locations = torch.empty_like(offsets)
    for level, (height, width) in enumerate(shapes):
        unit = torch.tensor([1 / width, 1 / height], dtype=rows.dtype)
        if numbers == 4:
            unit = (reference[:, :, level, 2:] / 2 / points)[:, :, None, None]
        centre = reference[:, :, level, None, None, :2]
        locations[..., level, :, :] = centre + offsets[..., level, :, :] * unit
    weights = logits.view(batch, queries, heads, -1).softmax(-1)
    weights = weights.view(batch, queries, heads, levels, points)
    return ms_deform_attn_reference(value, shapes, locations, weights)


@either
def test_by_hand(function):
    # The image [[1, 2], [3, 4]]: half a cell to the right of the centre of the first one, with
    # three quarters of the weight, and the centre of the last.
    value = torch.tensor([1.0, 2, 3, 4]).view(1, 4, 1, 1)
    reference = torch.tensor([0.25, 0.25]).view(1, 1, 1, 2)
    rows = torch.tensor([0.5, 0.0, 1.0, 1.0, math.log(3.0), 0.0]).view(1, 1, 6)
    out = function(value, [(2, 2)], reference, rows)
    torch.testing.assert_close(out.flatten(), torch.tensor([0.75 * 1.5 + 0.25 * 4.0]))


@either
def test_offsets_of_a_box_by_hand(function):
    # Two points: an offset of 2 is half of the box. From its centre to its right edge.
    value = torch.tensor([1.0, 2, 3, 4]).view(1, 4, 1, 1)
    box = torch.tensor([0.5, 0.25, 0.5, 0.5]).view(1, 1, 1, 4)
    rows = torch.tensor([2.0, 0.0, -2.0, 2.0, 0.0, 0.0]).view(1, 1, 6)
    out = function(value, [(2, 2)], box, rows)  # at (0.75, 0.25) and (0.25, 0.5)
    torch.testing.assert_close(out.flatten(), torch.tensor([0.5 * 2.0 + 0.5 * 2.0]))


@either
def test_gradients_by_hand(function):
    # Cells of 1 and 3, sampled at a quarter and at a tenth of the way between them.
    value = torch.tensor([1.0, 3.0]).view(1, 2, 1, 1).requires_grad_()
    reference = torch.tensor([0.25, 0.5]).view(1, 1, 1, 2).requires_grad_()
    rows = torch.tensor([0.25, 0.0, 0.1, 0.0, 0.0, 0.0]).view(1, 1, 6).requires_grad_()
    function(value, [(1, 2)], reference, rows).backward()
    # Samples 1.5 and 1.2 of weight 1/2; a cell to the right is 2 more.
    torch.testing.assert_close(value.grad.flatten(), torch.tensor([0.825, 0.175]))
    across, by_logits = rows.grad.flatten()[[0, 2]], rows.grad.flatten()[4:]
    torch.testing.assert_close(across, torch.tensor([1.0, 1.0]))
    torch.testing.assert_close(by_logits, torch.tensor([0.5 * 0.15, -0.5 * 0.15]))
    torch.testing.assert_close(reference.grad.flatten()[0], torch.tensor(4.0))


SIZES = [
    dict(channels=1, points=1, heads=1, queries=1),
    dict(channels=3, points=5, heads=2, queries=7),
    dict(channels=16, points=4, heads=2, queries=33),
    dict(channels=32, points=4, heads=8, queries=70, shapes=((9, 7), (5, 4), (3, 2), (1, 1))),
    dict(channels=33, points=9, heads=3, queries=4, shapes=((1, 9), (8, 1))),
]


@either
@pytest.mark.parametrize("numbers", [2, 4])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_it_is_the_composition(function, sizes, numbers):
    shapes = sizes.get("shapes", SHAPES)
    tensors = random_rows(**sizes, numbers=numbers)
    found = differentiate_rows(function, *tensors, shapes=shapes)
    expected = differentiate_rows(composition, *tensors, shapes=shapes)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@either
@pytest.mark.parametrize("numbers", [2, 4])
def test_gradients(function, numbers):
    value, reference, rows = random_rows(batch=1, queries=2, heads=2, numbers=numbers)
    leaves = [tensor.requires_grad_() for tensor in (value, reference, rows)]
    assert torch.autograd.gradcheck(lambda v, f, r: function(v, SHAPES, f, r), leaves)


@either
@pytest.mark.parametrize("empty", ["batch", "queries", "channels", "points"])
def test_empty(function, empty):
    sizes = dict(batch=2, queries=3, heads=3, channels=2, points=2) | {empty: 0}
    tensors = random_rows(**sizes)
    out, *gradients = differentiate_rows(function, *tensors)
    assert out.shape == (sizes["batch"], sizes["queries"], sizes["heads"] * sizes["channels"])
    assert not out.any()
    for gradient, tensor in zip(gradients, tensors, strict=True):
        assert gradient.shape == tensor.shape
        assert not gradient.any()


@either
@pytest.mark.parametrize("far", [1e6, -1e10, 1e30])
def test_what_is_far_outside_samples_nothing(function, far):
    value, reference, rows = (tensor.float() for tensor in random_rows())
    rows[..., : rows.shape[-1] // 3 * 2] = far
    out, by_value, by_reference, by_rows = differentiate_rows(function, value, reference, rows)
    assert not out.any() and not by_value.any()
    assert not by_reference.any() and not by_rows.any()


@either
@pytest.mark.parametrize("lost", [NAN, INF, -INF])
def test_an_offset_that_is_not_finite_shows(function, lost):
    value, reference, rows = (tensor.float() for tensor in random_rows(heads=3, channels=2))
    rows[0, 1, 0] = lost
    out = function(value, SHAPES, reference, rows).isnan()
    assert out[0, 1, :2].all()
    assert int(out.sum()) == 2


@either
def test_logits_of_any_size(function):
    value, reference, rows = (tensor.float() for tensor in random_rows(heads=1))
    rows[..., -4:] = torch.tensor([1e4, 1e4, -1e4, -3e38])
    out, _, _, by_rows = differentiate_rows(function, value, reference, rows)
    assert out.isfinite().all() and by_rows.isfinite().all()
    expected = function(value.double(), SHAPES, reference.double(), rows.double())
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)


@either
@pytest.mark.parametrize("logits", [[NAN, 0.0, 3e38, 3e38], [INF, 0.0, 0.0, 0.0], [-INF] * 4])
def test_logits_without_a_softmax_show(function, logits):
    value, reference, rows = (tensor.float() for tensor in random_rows(heads=2, channels=2))
    rows[0, 1, -4:] = torch.tensor(logits)  # of the last head
    out = function(value, SHAPES, reference, rows).isnan()
    assert out[0, 1, 2:].all()
    assert int(out.sum()) == 2


@either
def test_non_contiguous(function):
    tensors = random_rows()
    strided = [tensor.transpose(0, 1).contiguous().transpose(0, 1) for tensor in tensors]
    assert not any(tensor.is_contiguous() for tensor in strided)
    torch.testing.assert_close(
        differentiate_rows(function, *strided),
        differentiate_rows(function, *tensors),
        rtol=0,
        atol=0,
    )


@either
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("precise_rows", [True, False])
def test_sixteen_bits_with_a_precise_reference(function, dtype, precise_rows):
    value, reference, rows = (tensor.float() for tensor in random_rows(numbers=4))
    value, rows = value.to(dtype), rows.to(dtype)
    rows = rows.float() if precise_rows else rows
    answer = differentiate_rows(function, value, reference, rows)
    exact = differentiate_rows(function, value.float(), reference, rows.float())
    for got, wanted, tensor in zip(answer, exact, (value, value, reference, rows), strict=True):
        assert got.dtype == tensor.dtype
        scale = float(wanted.abs().max())
        torch.testing.assert_close(got.float(), wanted, rtol=0.02, atol=0.01 * scale)


def test_autocast_casts_the_value_and_not_the_reference():
    value, reference, rows = (tensor.float() for tensor in random_rows())
    leaves = [tensor.requires_grad_() for tensor in (value, reference, rows)]
    with torch.autocast("cpu", torch.bfloat16):
        out = ms_deform_attn_fused(leaves[0], SHAPES, *leaves[1:])
    assert out.dtype == torch.bfloat16
    expected = ms_deform_attn_fused(value.bfloat16(), SHAPES, reference, rows)
    torch.testing.assert_close(out, expected)
    out.sum().backward()
    assert [tensor.grad.dtype for tensor in leaves] == [torch.float32] * 3


def test_a_portable_form_sees_locations_and_weights():
    value, reference, rows = random_rows()
    with attention_as(lambda value, shapes, locations, weights: (locations, weights)):
        locations, weights = ms_deform_attn_fused(value, SHAPES, reference, rows)
    assert locations.shape == (2, 5, 3, 2, 2, 2)
    torch.testing.assert_close(weights.sum((-1, -2)), torch.ones(2, 5, 3, dtype=torch.float64))


def test_without_its_kernels_it_is_the_composition(monkeypatch):
    tensors = random_rows()
    expected = differentiate_rows(ms_deform_attn_fused, *tensors)
    monkeypatch.setattr(MODULE, "_use_kernels", lambda *arguments: False)
    torch.testing.assert_close(differentiate_rows(ms_deform_attn_fused, *tensors), expected)


def test_without_data():
    """On the meta device there are shapes only."""
    value, reference, rows = (tensor.to("meta") for tensor in random_rows())
    out = ms_deform_attn_fused(value, SHAPES, reference, rows)
    assert (out.shape, out.dtype, out.device.type) == ((2, 5, 6), torch.float64, "meta")


def test_kernels_are_used_where_they_are_built():
    used = MODULE._use_kernels(torch.device("cpu"), torch.float32, 4)
    assert used == (extension.why_no_kernel("ms_deform_attn_fused", torch.device("cpu")) == "")


def bad(**change) -> tuple:
    value, reference, rows = random_rows()
    arguments = dict(value=value, shapes=SHAPES, reference=reference, rows=rows) | change
    return tuple(arguments.values())


@pytest.mark.parametrize(
    "change, error, message",
    [
        (dict(shapes=((3, 4), (2, 3))), ValueError, "18 cells together, but value has 16"),
        (dict(shapes=torch.tensor(SHAPES)), TypeError, "drop_in"),
        (dict(value=torch.zeros(2, 16, 6)), ValueError, r"takes value \[B, S, M, D\]"),
        (dict(value=torch.zeros(2, 16, 3, 2).int()), TypeError, "value must be floating"),
        (dict(reference=torch.zeros(2, 5, 2, 3)), ValueError, r"\(2, 5, 2, 2\) or \(2, 5, 2, 4\)"),
        (dict(reference=torch.zeros(2, 4, 2, 2)), ValueError, r"not \(2, 4, 2, 2\)"),
        (dict(reference=torch.zeros(2, 5, 2)), ValueError, r"reference \[B, Q, L, 2 or 4\]"),
        (dict(rows=torch.zeros(2, 5, 35)), ValueError, "multiple of 18"),
        (dict(rows=torch.zeros(1, 5, 36)), ValueError, "reference must be|rows must be"),
        (dict(rows=torch.zeros(2, 5, 36, device="meta")), ValueError, "on meta, but value"),
        (dict(rows=torch.zeros(2, 5, 36, dtype=torch.bool)), TypeError, "rows must be floating"),
    ],
)
def test_what_does_not_fit_is_told(change, error, message):
    with pytest.raises(error, match=message):
        ms_deform_attn_fused(*bad(**change))
