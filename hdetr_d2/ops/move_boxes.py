"""Box refinement: applying the output of a box head to a reference."""

import functools

import torch
from torch import Tensor

from hdetr_d2.ops.arguments import check_numbers, check_tensors
from hdetr_d2.ops.extension import is_defined, warn_of_fallback, why_no_kernel
from hdetr_d2.ops.move_boxes_reference import move_boxes_reference
from hdetr_d2.ops.move_boxes_rules import register
from hdetr_d2.ops.portable import is_portable

if is_defined("move_boxes"):
    _RULES = register()


def move_boxes(delta: Tensor, reference: Tensor, eps: float = 1e-5) -> Tensor:
    """Boxes sigmoid(delta + logit(reference)) (https://arxiv.org/abs/2010.04159).

    The logit of x is log(clamp(x, eps, 1) / clamp(1 - x, eps, 1)). Runs in compiled kernels where
    they are built for the device; otherwise, after one warning, in PyTorch's own operations
    (`move_boxes_reference`). Computed in float32 (float64 if either input is float64), also under
    autocast. The kernels keep the boxes and the reference for the backward pass.

    Args:
        delta: `Tensor[B, Q, 4]`, output of a box head.
        reference: `Tensor[B, Q, 2 or 4]`, (cx, cy) or cxcywh in [0, 1]. If it has no size, the
            box's size is the sigmoid of the delta alone.
        eps: lower bound of the odds of a reference, in (0, 1). References closer than that to 0 or
            1, or outside, have no gradient.

    Returns:
        `Tensor[B, Q, 4]`, boxes cxcywh in [0, 1], in the dtype that PyTorch gives the sum of both
        inputs.

    Raises:
        ValueError: shapes or devices do not fit, or eps is out of range.
        TypeError: a tensor is not floating-point, or eps is not a number.
    """
    _check(delta, reference, eps)
    if is_portable():
        return move_boxes_reference(delta, reference, eps)
    dtype = _common_dtype(delta, reference)
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    move = _move if _use_kernels(delta.device, exact) else move_boxes_reference
    return move(delta.to(exact), reference.to(exact), eps).to(dtype)


def _common_dtype(delta: Tensor, reference: Tensor) -> torch.dtype:
    """PyTorch's promoted dtype. It takes an operator call, so it is determined only if the dtypes
    differ.
    """
    if delta.dtype == reference.dtype:
        return delta.dtype
    return torch.promote_types(delta.dtype, reference.dtype)


def _move(delta: Tensor, reference: Tensor, eps: float) -> Tensor:
    return torch.ops.hdetr_d2.move_boxes(delta, reference, eps)


@torch.compiler.assume_constant_result  # checked, and warned about, during tracing
def _use_kernels(device: torch.device, dtype: torch.dtype) -> bool:
    how, reason = "in PyTorch's own operations, slower", why_no_kernels(device, dtype)
    return not warn_of_fallback("move_boxes", how, reason)


@functools.cache
def why_no_kernels(device: torch.device, dtype: torch.dtype) -> str:
    """One sentence on why the kernels cannot take these boxes; empty if they can."""
    if dtype != torch.float32:
        return f"The kernels do not take boxes of {dtype}."
    return why_no_kernel("move_boxes", device)


def _check(delta: Tensor, reference: Tensor, eps: float) -> None:
    check_tensors(delta=delta, reference=reference)
    check_numbers(eps=eps)
    for name, tensor in dict(delta=delta, reference=reference).items():
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be floating, not {tensor.dtype}.")
    if reference.device != delta.device:
        raise ValueError(f"reference is on {reference.device}, but delta on {delta.device}.")
    fits = delta.dim() == reference.dim() == 3 and delta.shape[:2] == reference.shape[:2]
    if not fits or delta.shape[2] != 4 or reference.shape[2] not in (2, 4):
        raise ValueError(
            "move_boxes takes delta [B, Q, 4] and reference [B, Q, 2 or 4], not "
            f"{tuple(delta.shape)} and {tuple(reference.shape)}."
        )
    if not 0 < eps < 1:
        raise ValueError(f"The eps of move_boxes is above 0 and below 1, not {eps}.")
