"""What PyTorch needs to know about the compiled operator: output shapes, and the derivative."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.ops.derivative import Derivative, no_second_derivative, register_derivative

_OP = "hdetr_d2::affine_relu"
_BACKWARD = "hdetr_d2::affine_relu_backward"


def _fake(
    x: Tensor, scale: Tensor, shift: Tensor, residual: Tensor | None, ceiling: float
) -> Tensor:
    return _like(x)


def _fake_backward(
    gradient: Tensor, y: Tensor, scale: Tensor, ceiling: float, of_residual: bool
) -> tuple[Tensor, Tensor]:
    return _like(y), _like(y) if of_residual else y.new_empty(0)


def _like(x: Tensor) -> Tensor:
    """In one of the two memory formats, as the kernels return it."""
    last = x.stride(1) == 1 and not x.is_contiguous()
    order = torch.channels_last if last else torch.contiguous_format
    return torch.empty_like(x, memory_format=order)


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    _, scale, _, residual, ctx.ceiling = inputs
    ctx.of_residual = residual is not None and residual.requires_grad
    ctx.save_for_backward(output, scale)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
    by_x, by_residual = torch.ops.hdetr_d2.affine_relu_backward(
        gradient, *ctx.saved_tensors, ctx.ceiling, ctx.of_residual
    )
    return by_x, None, None, by_residual if ctx.of_residual else None, None


def _tangent(arguments: Sequence[Any], tangents: Sequence[Tensor | None]) -> Tensor:
    """Elementwise, so that the forward derivative equals the backward one."""
    x, scale, _, residual, ceiling = arguments
    of_x, of_scale, of_shift, of_residual, _ = tangents
    if of_scale is not None or of_shift is not None:
        raise RuntimeError("affine_relu has no derivative by scale and shift.")
    y = torch.ops.hdetr_d2.affine_relu(*arguments)
    slopes = torch.ops.hdetr_d2.affine_relu_backward(
        torch.ones_like(y), y, scale, ceiling, residual is not None
    )
    found = torch.zeros_like(y)
    for slope, tangent in zip(slopes, (of_x, of_residual), strict=True):
        found = found if tangent is None else found + slope * tangent
    return found


def register() -> torch.library.Library:
    """Registers the rules with PyTorch; they stay registered as long as the returned object
    lives.
    """
    library = torch.library.Library("hdetr_d2", "FRAGMENT")
    torch.library.register_fake(_OP, _fake, lib=library)
    torch.library.register_fake(_BACKWARD, _fake_backward, lib=library)
    rules = Derivative(save=_save, backward=_backward, tangent=_tangent)
    register_derivative("affine_relu", rules, library)
    refusal = no_second_derivative("affine_relu")
    register_derivative("affine_relu_backward", refusal, library)
    return library
