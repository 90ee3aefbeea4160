"""Sigmoid focal loss (https://arxiv.org/abs/1708.02002) by the index of the class."""

import functools

import torch
from torch import Tensor

from hdetr_d2.ops.arguments import check_tensors
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
    """The loss of each layer, summed over its queries and classes; every class for itself.

    Runs in compiled kernels where they are built for the device, else, after one warning, in
    PyTorch's own operations (`sigmoid_focal_loss_reference`). Computed in float32 (float64 for
    float64 logits), under autocast too; the kernels keep nothing for the backward but the logits.

    Args:
        logits: `Tensor[L, B, Q, K]`.
        labels: `Tensor[L, B, Q]` int64, -1 where no class is there, -2 where no loss is wanted.
        alpha: weight of positives; negatives have 1 - alpha.
        gamma: how fast easy examples lose their weight, at least 0.

    Returns:
        `Tensor[L]` float32, float64 for float64 logits.

    Raises:
        ValueError: shapes, devices or gamma that do not fit; of labels on the host also those that
            no logit stands for. On a GPU such a label makes its loss NaN.
        TypeError: logits that are not floating, labels that are not int64.
    """
    _check(logits, labels, gamma)
    if _use_kernels(logits.device, logits.dtype):
        return torch.ops.hdetr_d2.sigmoid_focal_loss(logits, labels, alpha, gamma)
    return sigmoid_focal_loss_reference(logits, labels, alpha, gamma)


@torch.compiler.assume_constant_result  # asked, and warned of, while a graph is traced
def _use_kernels(device: torch.device, dtype: torch.dtype) -> bool:
    how, reason = "in PyTorch's own operations, slower", why_no_kernels(device, dtype)
    return not warn_of_fallback("sigmoid_focal_loss", how, reason)


@functools.cache
def why_no_kernels(device: torch.device, dtype: torch.dtype) -> str:
    """One sentence on why the kernels do not take such logits; empty if they do."""
    if dtype not in _KERNEL_DTYPES:
        return f"The kernels do not take logits of {dtype}."
    return why_no_kernel("sigmoid_focal_loss", device)


def _check(logits: Tensor, labels: Tensor, gamma: float) -> None:
    check_tensors(logits=logits, labels=labels)
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
