"""Constant norm, shortcut and activation after a backbone's convolution, in one pass over the
feature map.
"""

import functools
import math

import torch
from torch import Tensor

from hdetr_d2.ops.affine_relu_reference import affine_relu_reference
from hdetr_d2.ops.affine_relu_rules import register
from hdetr_d2.ops.arguments import check_numbers, check_tensors
from hdetr_d2.ops.derivative import is_transformed
from hdetr_d2.ops.extension import is_defined, warn_of_fallback, why_no_kernel
from hdetr_d2.ops.portable import is_portable

_KERNEL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)

if is_defined("affine_relu"):
    _RULES = register()


def affine_relu(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    residual: Tensor | None = None,
    ceiling: float | None = None,
) -> Tensor:
    """relu(x * scale + shift + residual), with constants per channel: a frozen BatchNorm, the
    shortcut of a residual block (https://arxiv.org/abs/1512.03385), and the activation after it.

    Runs in compiled kernels where they are built for the device; otherwise, after one warning, in
    PyTorch's own operations (`affine_relu_reference`). Computed in float32 and rounded once. The
    kernels keep only the result for the backward pass.

    Args:
        x: `Tensor[B, C, H, W]`; a channels_last input gives a channels_last result.
        scale, shift: `Tensor[C]`, constants that receive no gradient.
        residual: `Tensor[B, C, H, W]`, or None.
        ceiling: upper bound of the result, above 0 (6 for a ReLU6), or None.

    Returns:
        `Tensor[B, C, H, W]` in the dtype of x.

    Raises:
        ValueError: shapes or devices do not fit, the constants require a gradient, or the ceiling
            is not above 0.
        TypeError: a tensor is not floating-point, or the ceiling is not a number.
    """
    _check(x, scale, shift, residual, ceiling)
    if (
        is_portable()
        or _is_transformed(x, scale, shift, residual)
        or not _use_kernels(x.device, x.dtype)
    ):
        return affine_relu_reference(x, scale, shift, residual, ceiling)
    residual = None if residual is None else residual.to(x.dtype)
    at_most = math.nan if ceiling is None else ceiling
    return torch.ops.hdetr_d2.affine_relu(x, scale.float(), shift.float(), residual, at_most)


def _is_transformed(*tensors: Tensor | None) -> bool:
    """The kernels' constants have no batch dimension that `torch.vmap` could map, nor a derivative
    that `torch.func` could take.
    """
    if torch.compiler.is_compiling():
        return False
    return any(each is not None and is_transformed(each) for each in tensors)


@torch.compiler.assume_constant_result  # checked, and warned about, during tracing
def _use_kernels(device: torch.device, dtype: torch.dtype) -> bool:
    how, reason = "in PyTorch's own operations, slower", why_no_kernels(device, dtype)
    return not warn_of_fallback("affine_relu", how, reason)


@functools.cache
def why_no_kernels(device: torch.device, dtype: torch.dtype) -> str:
    """One sentence on why the kernels cannot take this feature map; empty if they can."""
    if dtype not in _KERNEL_DTYPES:
        return f"The kernels do not take maps of {dtype}."
    return why_no_kernel("affine_relu", device)


def _check(
    x: Tensor, scale: Tensor, shift: Tensor, residual: Tensor | None, ceiling: float | None
) -> None:
    others = {"scale": scale, "shift": shift}
    if residual is not None:
        others["residual"] = residual
    check_tensors(x=x, **others)
    if ceiling is not None:
        check_numbers(ceiling=ceiling)
    for name, tensor in {"x": x, **others}.items():
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be floating, not {tensor.dtype}.")
        if tensor.device != x.device:
            raise ValueError(f"{name} is on {tensor.device}, but x on {x.device}.")
    if x.dim() != 4 or scale.shape != x.shape[1:2] or shift.shape != scale.shape:
        raise ValueError(
            "affine_relu takes x [B, C, H, W], scale and shift [C], not "
            f"{tuple(x.shape)}, {tuple(scale.shape)} and {tuple(shift.shape)}."
        )
    if residual is not None and residual.shape != x.shape:
        raise ValueError(
            f"The residual must have the shape of x, {tuple(x.shape)}, not {tuple(residual.shape)}."
        )
    if scale.requires_grad or shift.requires_grad:
        raise ValueError("scale and shift of affine_relu are constants and get no gradient.")
    if ceiling is not None and not ceiling > 0:
        raise ValueError(f"The ceiling of affine_relu is above 0, not {ceiling}.")
