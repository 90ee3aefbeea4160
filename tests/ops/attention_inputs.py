"""Arguments for the tests of multi-scale deformable attention."""

from collections.abc import Sequence

import torch
from torch import Tensor

SHAPES = ((3, 4), (2, 2))


def random_inputs(
    batch: int = 2,
    queries: int = 5,
    heads: int = 3,
    channels: int = 2,
    points: int = 2,
    shapes: Sequence[tuple[int, int]] = SHAPES,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Sequence[tuple[int, int]], Tensor, Tensor]:
    """Arguments in the order of the function. Some points lie outside; none is within 0.1 pixels of
    the border of a cell, where the derivative by the location jumps.
    """
    tokens = sum(height * width for height, width in shapes)
    value = torch.randn(batch, tokens, heads, channels, dtype=dtype)
    sizes = torch.tensor([(width, height) for height, width in shapes])[:, None]  # [L, 1, 2]
    samples = (batch, queries, heads, len(shapes), points)
    cells = (torch.rand(*samples, 2, dtype=torch.float64) * (sizes + 2) - 1.5).floor()
    pixels = cells + 0.1 + 0.8 * torch.rand_like(cells)
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    locations = ((pixels + 0.5) / sizes).to(exact)
    weights = torch.rand(samples, dtype=dtype)
    return value, shapes, locations, weights


def random_rows(
    batch: int = 2,
    queries: int = 5,
    heads: int = 3,
    channels: int = 2,
    points: int = 2,
    numbers: int = 2,
    shapes: Sequence[tuple[int, int]] = SHAPES,
) -> tuple[Tensor, Tensor, Tensor]:
    """Value, a reference of 2 or 4 numbers and rows in float64, for the fused form: at the
    locations of `random_inputs`, so none is close to where the derivative jumps.
    """
    sizes = dict(batch=batch, queries=queries, heads=heads, channels=channels, points=points)
    value, _, locations, weights = random_inputs(**sizes, shapes=shapes)
    reference = 0.2 + 0.6 * torch.rand(batch, queries, len(shapes), numbers, dtype=torch.float64)
    cells = torch.tensor([(w, h) for h, w in shapes], dtype=torch.float64)
    unit = 1 / cells if numbers == 2 else reference[..., 2:] * (0.5 / max(points, 1))
    centre, unit = reference[..., :2], unit.expand(batch, queries, -1, -1)
    offsets = (locations - centre[:, :, None, :, None]) / unit[:, :, None, :, None]
    logits = 2 * torch.randn(weights.shape, dtype=torch.float64)
    return value, reference, torch.cat([offsets.flatten(2), logits.flatten(2)], -1)


def differentiate(
    function, value: Tensor, shapes: Sequence[tuple[int, int]], locations: Tensor, weights: Tensor
) -> list[Tensor]:
    """The output and the gradients by value, locations and weights of an uneven sum of it."""
    inputs = [tensor.detach().requires_grad_() for tensor in (value, locations, weights)]
    out = function(inputs[0], shapes, inputs[1], inputs[2])
    factors = torch.linspace(-1, 1, out.numel(), dtype=torch.float64).view_as(out).to(out)
    return [out.detach(), *torch.autograd.grad(out, inputs, factors)]


def differentiate_rows(function, *tensors: Tensor, shapes=SHAPES) -> list[Tensor]:
    """The same of the fused form, by value, reference and rows."""
    value, reference, rows = tensors
    return differentiate(function, value, shapes, reference, rows)
