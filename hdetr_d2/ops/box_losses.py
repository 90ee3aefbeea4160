"""Losses between boxes and their targets."""

import functools

import torch
from torch import Tensor

from hdetr_d2.ops.arguments import check_tensors
from hdetr_d2.ops.box_losses_reference import box_losses_reference
from hdetr_d2.ops.box_losses_rules import register
from hdetr_d2.ops.derivative import are_numbers_known
from hdetr_d2.ops.extension import is_defined, warn_of_fallback, why_no_kernel

if is_defined("box_losses"):
    _RULES = register()


def box_losses(boxes: Tensor, truth: Tensor, index: Tensor) -> Tensor:
    """L1 distance and 1 - GIoU (https://arxiv.org/abs/1902.09630) of boxes and their targets.

    Runs in compiled kernels where they are built for the device; otherwise, after one warning, in
    PyTorch's own operations (`box_losses_reference`). Computed in float32 (float64 for float64
    boxes), also under autocast.

    Args:
        boxes: `Tensor[P, N, 4]` cxcywh, N rows in each of P problems.
        truth: `Tensor[P, G, 4]` cxcywh; receives no gradient.
        index: `Tensor[P, N]` int64, the target of each row; negative for none.

    Returns:
        `Tensor[P, N, 2]`: the L1 distance (sum of four), and 1 - GIoU in [0, 2]; float32, or
        float64 for float64 boxes. A row without a target has zero losses and zero gradients,
        whatever its box.

    Raises:
        ValueError: shapes or devices do not fit, the truth requires a gradient, or (on the host) an
            index is out of range. On a GPU an index out of range gives NaN losses.
        TypeError: boxes are not floating-point, or the index is not int64.
    """
    _check(boxes, truth, index)
    exact = torch.float64 if boxes.dtype == torch.float64 else torch.float32
    boxes, truth = boxes.to(exact), truth.to(exact)
    if _use_kernels(boxes.device, exact):
        return torch.ops.hdetr_d2.box_losses(boxes, truth, index)
    return box_losses_reference(boxes, truth, index)


@torch.compiler.assume_constant_result  # checked, and warned about, during tracing
def _use_kernels(device: torch.device, dtype: torch.dtype) -> bool:
    how, reason = "in PyTorch's own operations, slower", why_no_kernels(device, dtype)
    return not warn_of_fallback("box_losses", how, reason)


@functools.cache
def why_no_kernels(device: torch.device, dtype: torch.dtype) -> str:
    """One sentence on why the kernels cannot take these boxes; empty if they can."""
    if dtype != torch.float32:
        return f"The kernels do not take boxes of {dtype}."
    return why_no_kernel("box_losses", device)


def _check(boxes: Tensor, truth: Tensor, index: Tensor) -> None:
    check_tensors(boxes=boxes, truth=truth, index=index)
    for name, tensor in dict(boxes=boxes, truth=truth).items():
        if not tensor.is_floating_point():
            raise TypeError(f"{name} must be floating, not {tensor.dtype}.")
    if index.dtype != torch.int64:
        raise TypeError(f"index must be int64, not {index.dtype}.")
    for name, tensor in dict(truth=truth, index=index).items():
        if tensor.device != boxes.device:
            raise ValueError(f"{name} is on {tensor.device}, but boxes on {boxes.device}.")
    fits = boxes.dim() == truth.dim() == 3 and boxes.shape[2] == truth.shape[2] == 4
    if not fits or index.shape != boxes.shape[:2] or len(truth) != len(boxes):
        raise ValueError(
            "box_losses takes boxes [P, N, 4], truth [P, G, 4] and index [P, N], not "
            f"{tuple(boxes.shape)}, {tuple(truth.shape)} and {tuple(index.shape)}."
        )
    if truth.requires_grad:
        raise ValueError("truth asks for a gradient, but nothing is learned by it: detach it.")
    _check_index(index, truth.shape[1])


def _check_index(index: Tensor, targets: int) -> None:
    if not index.numel() or not are_numbers_known(index):
        return
    if (largest := int(index.max())) >= targets:
        raise ValueError(f"There is the index {largest}, but there are {targets} targets.")
