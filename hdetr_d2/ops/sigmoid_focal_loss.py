"""Sigmoid focal loss (https://arxiv.org/abs/1708.02002) from class indices."""

import functools

import torch
from torch import Tensor

from hdetr_d2.ops.arguments import check_numbers, check_tensors
from hdetr_d2.ops.derivative import are_numbers_known
from hdetr_d2.ops.extension import is_defined, warn_of_fallback, why_no_kernel
from hdetr_d2.ops.sigmoid_focal_loss_reference import sigmoid_focal_loss_reference
from hdetr_d2.ops.sigmoid_focal_loss_rules import register

_KERNEL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)

if is_defined("sigmoid_focal_loss"):
    _RULES = register()


def sigmoid_focal_loss(
    logits: Tensor, labels: Tensor, alpha: float = 0.25, gamma: float = 2.0
) -> Tensor:
    """The loss of each layer, summed over its queries and classes; classes are independent.

    Runs in compiled kernels where they are built for the device; otherwise, after one warning, in
    PyTorch's own operations (`sigmoid_focal_loss_reference`). Computed in float32 (float64 for
    float64 logits), also under autocast. The kernels keep only the logits for the backward pass.

    Args:
        logits: `Tensor[L, B, Q, K]`.
        labels: `Tensor[L, B, Q]` int64, -1 for background, -2 to ignore a query.
        alpha: weight of positives; negatives have 1 - alpha.
        gamma: how fast the weight of easy examples decreases, at least 0.

    Returns:
        `Tensor[L]` float32, or float64 for float64 logits.

    Raises:
        ValueError: shapes or devices do not fit, gamma is out of range, or (on the host) a label
            has no logit. On a GPU such a label makes its loss NaN.
        TypeError: logits are not floating-point, labels are not int64, or alpha or gamma is not a
            number.
    """
    _check(logits, labels, alpha, gamma)
    if _use_kernels(logits.device, logits.dtype):
        return torch.ops.hdetr_d2.sigmoid_focal_loss(logits, labels, alpha, gamma)
    return sigmoid_focal_loss_reference(logits, labels, alpha, gamma)


@torch.compiler.assume_constant_result  # checked, and warned about, during tracing
def _use_kernels(device: torch.device, dtype: torch.dtype) -> bool:
    how, reason = "in PyTorch's own operations, slower", why_no_kernels(device, dtype)
    return not warn_of_fallback("sigmoid_focal_loss", how, reason)


@functools.cache
def why_no_kernels(device: torch.device, dtype: torch.dtype) -> str:
    """One sentence on why the kernels cannot take these logits; empty if they can."""
    if dtype not in _KERNEL_DTYPES:
        return f"The kernels do not take logits of {dtype}."
    return why_no_kernel("sigmoid_focal_loss", device)


def _check(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> None:
    check_tensors(logits=logits, labels=labels)
    check_numbers(alpha=alpha, gamma=gamma)
    if not logits.is_floating_point():
        raise TypeError(f"logits must be floating, not {logits.dtype}.")
    if labels.dtype != torch.int64:
        raise TypeError(f"labels must be int64, not {labels.dtype}.")
    if labels.device != logits.device:
        raise ValueError(f"labels is on {labels.device}, but logits on {logits.device}.")
    if logits.dim() != 4 or labels.shape != logits.shape[:3]:
        raise ValueError(
            "sigmoid_focal_loss takes logits [L, B, Q, K] and labels [L, B, Q], not "
            f"{tuple(logits.shape)} and {tuple(labels.shape)}."
        )
    if not gamma >= 0:
        raise ValueError(f"The gamma of a focal loss is at least 0, not {gamma}.")
    _check_labels(labels, logits.shape[-1])


def _check_labels(labels: Tensor, classes: int) -> None:
    if not labels.numel() or not are_numbers_known(labels):
        return
    for extreme in map(int, labels.aminmax()):
        if not -2 <= extreme < classes:
            raise ValueError(f"There is the label {extreme}, but logits have {classes} classes.")
