"""Multi-scale deformable attention against numbers by hand and a slow loop."""

import math

import pytest
import torch

from hdetr_d2.ops import ms_deform_attn

SHAPES = ((3, 4), (2, 2))


def random_inputs(
    batch=2, queries=5, heads=3, channels=2, points=2, shapes=SHAPES, dtype=torch.float64
):
    tokens = sum(h * w for h, w in shapes)
    value = torch.randn(batch, tokens, heads, channels, dtype=dtype)
    locations = torch.rand(batch, queries, heads, len(shapes), points, 2, dtype=dtype) * 1.4 - 0.2
    weights = torch.rand(batch, queries, heads, len(shapes), points, dtype=dtype)
    return value, shapes, locations, weights


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


def test_by_hand():
    value = torch.tensor([1.0, 2, 3, 4]).view(1, 4, 1, 1)  # the image [[1, 2], [3, 4]]
    spots = torch.tensor([[0.25, 0.25], [0.5, 0.5], [0.75, 0.5], [0.0, 0.0], [2.0, 2.0]])
    out = ms_deform_attn(value, [(2, 2)], spots.view(1, 5, 1, 1, 1, 2), torch.ones(1, 5, 1, 1, 1))
    # A cell's centre, the middle of all, between two cells, a corner (three of four neighbours
    # outside), outside.
    torch.testing.assert_close(out.flatten(), torch.tensor([1.0, 2.5, 3.0, 0.25, 0.0]))


@pytest.mark.parametrize(
    "queries, heads, channels, points", [(5, 3, 2, 2), (1, 1, 1, 1), (4, 2, 5, 3)]
)
def test_against_the_definition(queries, heads, channels, points):
    inputs = random_inputs(queries=queries, heads=heads, channels=channels, points=points)
    torch.testing.assert_close(ms_deform_attn(*inputs), slow(*inputs))


def test_non_contiguous():
    value, shapes, locations, weights = random_inputs()
    strided = value.transpose(1, 2).contiguous().transpose(1, 2)
    flipped = locations.flip(1).flip(1).transpose(0, 1).contiguous().transpose(0, 1)
    expected = ms_deform_attn(value, shapes, locations, weights)
    torch.testing.assert_close(ms_deform_attn(strided, shapes, flipped, weights), expected)


@pytest.mark.parametrize("batch, queries", [(0, 3), (2, 0)])
def test_empty(batch, queries):
    out = ms_deform_attn(*random_inputs(batch=batch, queries=queries))
    assert out.shape == (batch, queries, 6)


def test_gradients():
    value, shapes, locations, weights = random_inputs(queries=2, heads=2)
    # The gradient of a location jumps where it crosses from cell to cell: keep away from there.
    for level, (height, width) in enumerate(shapes):
        pixels = locations[:, :, :, level] * torch.tensor([width, height])
        locations[:, :, :, level] = (
            pixels.floor() + 0.2 + 0.2 * torch.rand_like(pixels)
        ) / torch.tensor([width, height])
    inputs = [t.requires_grad_() for t in (value, locations, weights)]
    assert torch.autograd.gradcheck(lambda v, s, w: ms_deform_attn(v, shapes, s, w), inputs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bit_values_with_precise_locations(dtype):
    value, shapes, locations, weights = random_inputs(dtype=torch.float32)
    out = ms_deform_attn(value.to(dtype), shapes, locations, weights.to(dtype))
    assert out.dtype == dtype
    exact = ms_deform_attn(value.to(dtype).float(), shapes, locations, weights.to(dtype).float())
    torch.testing.assert_close(out, exact.to(dtype))


def test_locations_that_are_not_numbers_show():
    value, shapes, locations, weights = random_inputs()
    locations[0, 0] = float("nan")
    out = ms_deform_attn(value, shapes, locations, weights)
    assert out[0, 0].isnan().all() and out[0, 1:].isfinite().all()


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(shapes=((3, 4), (2, 3))), "18 cells together, but value has 16"),
        (dict(value=torch.zeros(2, 16, 6)), r"takes value \[B, S, M, D\]"),
        (dict(weights=torch.zeros(2, 5, 3, 2, 3, dtype=torch.float64)), "attention_weights"),
        (dict(shapes=((16, 1),)), "1 levels"),
    ],
)
def test_shapes_that_do_not_fit(change, message):
    value, shapes, locations, weights = random_inputs()
    inputs = dict(value=value, shapes=shapes, locations=locations, weights=weights) | change
    with pytest.raises(ValueError, match=message):
        ms_deform_attn(*inputs.values())
