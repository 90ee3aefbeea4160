"""What PyTorch needs to know about the compiled operator: output shapes, the derivative, and
autocast.
"""

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.ops.derivative import Derivative, no_second_derivative, register_derivative
from hdetr_d2.ops.ms_deform_attn_fused_reference import (
    for_points,
    offset_unit,
    sampling_points,
    split_rows,
)
from hdetr_d2.ops.ms_deform_attn_rules import attention_tangent, autocast_value, exact_arguments

_OP = "hdetr_d2::ms_deform_attn_fused"
_BACKWARD = "hdetr_d2::ms_deform_attn_fused_backward"


def _autocast(value: Tensor, sizes: Sequence[int], reference: Tensor, rows: Tensor) -> Tensor:
    """Not `register_autocast`: that casts every argument, but the reference must stay in
    float32.
    """
    value = autocast_value(value)
    reference, rows = exact_arguments(value, reference, rows)
    with torch.autocast(value.device.type, enabled=False):
        return torch.ops.hdetr_d2.ms_deform_attn_fused(value, sizes, reference, rows)


def _fake(value: Tensor, sizes: Sequence[int], reference: Tensor, rows: Tensor) -> Tensor:
    batch, _, heads, channels = value.shape
    return value.new_empty(batch, rows.shape[1], heads * channels)


def _fake_backward(
    grad_output: Tensor,
    value: Tensor,
    sizes: Sequence[int],
    reference: Tensor,
    rows: Tensor,
    of_reference: bool,
    deterministic: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    by_reference = reference.new_empty(reference.shape if of_reference else 0)
    return value.new_empty(value.shape), by_reference, rows.new_empty(rows.shape)


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    value, ctx.sizes, reference, rows = inputs
    ctx.of_reference = reference.requires_grad
    ctx.save_for_backward(value, reference, rows)


def _backward(ctx: Any, grad_output: Tensor) -> tuple[Tensor, None, Tensor | None, Tensor]:
    """If the reference needs no gradient, an empty one is returned for it."""
    value, reference, rows = ctx.saved_tensors
    deterministic = torch.are_deterministic_algorithms_enabled()
    by_value, by_reference, by_rows = torch.ops.hdetr_d2.ms_deform_attn_fused_backward(
        grad_output, value, ctx.sizes, reference, rows, ctx.of_reference, deterministic
    )
    return by_value, None, by_reference if ctx.of_reference else None, by_rows


def _tangent(arguments: Sequence[Any], tangents: Sequence[Tensor | None]) -> Tensor:
    """The tangent of the unfused operator, whose locations and weights depend on reference and
    rows.
    """
    value, sizes, reference, rows = arguments
    of_value, _, of_reference, of_rows = tangents
    shapes = list(zip(sizes[::2], sizes[1::2], strict=True))
    heads, rows = value.shape[2], rows.to(reference.dtype)
    of_rows = None if of_rows is None else of_rows.to(reference.dtype)
    locations, weights = sampling_points(shapes, reference, rows, heads)
    points = locations.shape[4]
    of_weights = None if of_rows is None else _of_softmax(weights, split_rows(of_rows, heads)[1])
    parts = []
    if of_rows is not None:
        unit = offset_unit(shapes, reference, points)
        parts.append(split_rows(of_rows, heads)[0] * for_points(unit, points))
    if of_reference is not None:
        parts.append(for_points(of_reference[..., :2], points))
    if of_reference is not None and reference.shape[-1] == 4:
        unit = offset_unit(shapes, of_reference, points)
        parts.append(split_rows(rows, heads)[0] * for_points(unit, points))
    of_locations = None
    if parts:
        moved = functools.reduce(torch.add, parts).expand(locations.flatten(3).shape)
        of_locations = moved.reshape(locations.shape)
    return attention_tangent(
        (value, sizes, locations, weights), (of_value, None, of_locations, of_weights)
    )


def _of_softmax(weights: Tensor, of_logits: Tensor) -> Tensor:
    shares = weights.flatten(3)
    return (shares * (of_logits - (shares * of_logits).sum(-1, keepdim=True))).view_as(weights)


def register() -> torch.library.Library:
    """Registers the rules with PyTorch; they stay registered as long as the returned object
    lives.
    """
    library = torch.library.Library("hdetr_d2", "FRAGMENT")
    torch.library.register_fake(_OP, _fake, lib=library)
    torch.library.register_fake(_BACKWARD, _fake_backward, lib=library)
    rules = Derivative(save=_save, backward=_backward, tangent=_tangent)
    register_derivative("ms_deform_attn_fused", rules, library)
    refusal = no_second_derivative("ms_deform_attn_fused")
    register_derivative("ms_deform_attn_fused_backward", refusal, library)
    for key in ("AutocastCPU", "AutocastCUDA"):
        library.impl("ms_deform_attn_fused", _autocast, key)
    return library
