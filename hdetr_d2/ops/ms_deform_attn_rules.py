"""What PyTorch needs to know about the compiled operator: output shapes, the derivative, and
autocast.
"""

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.ops.derivative import Derivative, no_second_derivative, register_derivative

_OP = "hdetr_d2::ms_deform_attn"
_BACKWARD = "hdetr_d2::ms_deform_attn_backward"


def exact_arguments(value: Tensor, locations: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Converts locations and weights to the dtypes that go with `value`: float32 (float64 for
    float64); weights in the dtype of `value` keep it.
    """
    exact = torch.float64 if value.dtype == torch.float64 else torch.float32
    if weights.dtype != value.dtype:
        weights = weights.to(exact)
    return locations.to(exact), weights


def autocast_value(value: Tensor) -> Tensor:
    """Casts `value` to the autocast dtype, if autocast is on; as in PyTorch, float64 is kept."""
    device = value.device.type
    if value.dtype == torch.float64 or not torch.amp.is_autocast_available(device):
        return value
    if not torch.is_autocast_enabled(device):
        return value
    return value.to(torch.get_autocast_dtype(device))


def _autocast(value: Tensor, sizes: Sequence[int], locations: Tensor, weights: Tensor) -> Tensor:
    """Not `register_autocast`: that casts every argument, but a 16-bit location often falls into
    another cell.
    """
    value = autocast_value(value)
    locations, weights = exact_arguments(value, locations, weights)
    with torch.autocast(value.device.type, enabled=False):
        return torch.ops.hdetr_d2.ms_deform_attn(value, sizes, locations, weights)


def _fake(value: Tensor, sizes: Sequence[int], locations: Tensor, weights: Tensor) -> Tensor:
    batch, _, heads, channels = value.shape
    return value.new_empty(batch, locations.shape[1], heads * channels)


def _fake_backward(
    grad_output: Tensor,
    value: Tensor,
    sizes: Sequence[int],
    locations: Tensor,
    weights: Tensor,
    deterministic: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    value, locations, weights = (t.new_empty(t.shape) for t in (value, locations, weights))
    return value, locations, weights


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    value, ctx.sizes, locations, weights = inputs
    ctx.save_for_backward(value, locations, weights)


def _backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, Tensor, Tensor]:
    value, locations, weights = ctx.saved_tensors
    deterministic = torch.are_deterministic_algorithms_enabled()
    by_value, by_locations, by_weights = torch.ops.hdetr_d2.ms_deform_attn_backward(
        grad_output, value, ctx.sizes, locations, weights, deterministic
    )
    return by_value, None, by_locations, by_weights


def attention_tangent(arguments: Sequence[Any], tangents: Sequence[Tensor | None]) -> Tensor:
    """Linear in value and weights; for locations see `_slope`."""
    value, sizes, locations, weights = arguments
    by_value, _, by_locations, by_weights = tangents
    op = torch.ops.hdetr_d2.ms_deform_attn
    parts = []
    if by_value is not None:
        parts.append(op(by_value, sizes, locations, weights))
    if by_locations is not None:
        parts.append(_slope(value, sizes, locations, weights, by_locations))
    if by_weights is not None:
        parts.append(op(value, sizes, locations, by_weights))
    return functools.reduce(torch.add, parts)


def _slope(
    value: Tensor, sizes: Sequence[int], locations: Tensor, weights: Tensor, tangent: Tensor
) -> Tensor:
    """Between two cells a sample is linear in x and in y: its slope is the difference of the
    samples on the two borders, so the result is a sum of four samples per point.
    """
    flat = [locations.new_full((), size) for size in sizes]
    cells = torch.stack(flat).view(-1, 2).flip(-1)[:, None]  # [L, 1, 2]: (W, H)
    first = (locations * cells - 0.5).floor()
    (x, y), (x0, y0) = locations.unbind(-1), ((first + 0.5) / cells).unbind(-1)
    x1, y1 = ((first + 1.5) / cells).unbind(-1)
    across, down = (weights[..., None] * (tangent * cells)).unbind(-1)
    borders = [torch.stack(place, -1) for place in ((x1, y), (x0, y), (x, y1), (x, y0))]
    rates = torch.cat([across, -across, down, -down], -1)
    return torch.ops.hdetr_d2.ms_deform_attn(value, sizes, torch.cat(borders, -2), rates)


def register() -> torch.library.Library:
    """Registers the rules with PyTorch; they stay registered as long as the returned object
    lives.
    """
    library = torch.library.Library("hdetr_d2", "FRAGMENT")
    torch.library.register_fake(_OP, _fake, lib=library)
    torch.library.register_fake(_BACKWARD, _fake_backward, lib=library)
    rules = Derivative(save=_save, backward=_backward, tangent=attention_tangent)
    register_derivative("ms_deform_attn", rules, library)
    refusal = no_second_derivative("ms_deform_attn")
    register_derivative("ms_deform_attn_backward", refusal, library)
    for key in ("AutocastCPU", "AutocastCUDA"):
        library.impl("ms_deform_attn", _autocast, key)
    return library
