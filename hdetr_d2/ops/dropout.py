"""Dropout (https://arxiv.org/abs/1207.0580) at the price of a copy on a CPU."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.ops.arguments import check_numbers, check_tensors
from hdetr_d2.ops.dropout_reference import dropout_reference
from hdetr_d2.ops.dropout_rules import register
from hdetr_d2.ops.extension import is_defined, warn_of_fallback, why_no_kernel

_KERNEL_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_MOST_SEED = 2**63 - 1

if is_defined("dropout"):
    _RULES = register()


def dropout(x: Tensor, p: float, seeds: Tensor | None = None) -> Tensor:
    """Sets each element to 0 with probability `p`, and divides the others by 1 - p.

    On the CPU, a compiled kernel generates random numbers from a counter, on all threads, and keeps
    only the seed for the backward pass. PyTorch's own dropout, used on other devices and without
    the kernel, draws numbers sequentially and keeps a mask. Whether an element is dropped depends
    only on the seed and the element's index, not on the number of threads or the processor.

    Args:
        x: `Tensor[...]`.
        p: in [0, 1]; rounded to a multiple of 2^-32. At 1 every element and its gradient are 0.
        seeds: `Tensor[N]` int64, one for each of N equal, consecutive parts of x; None draws one
            for all from PyTorch's default generator.

    Returns:
        `Tensor[...]` in the dtype of x.

    Raises:
        ValueError: p is out of range, or the seeds do not fit.
        TypeError: x is not floating-point, the seeds are not int64, or p is not a number.
    """
    _check(x, p, seeds)
    if p < 1 and x.device.type == "cpu" and _use_kernels(x.device, x.dtype):
        if seeds is None:
            seeds = torch.randint(_MOST_SEED, (1,), device=x.device)
        return torch.ops.hdetr_d2.dropout(x, seeds, p)
    return F.dropout(x, p) if seeds is None else dropout_reference(x, p, seeds)


@torch.compiler.assume_constant_result  # checked, and warned about, during tracing
def _use_kernels(device: torch.device, dtype: torch.dtype) -> bool:
    how, reason = "in PyTorch's own operations, slower", why_no_kernels(device, dtype)
    return not warn_of_fallback("dropout", how, reason)


@functools.cache
def why_no_kernels(device: torch.device, dtype: torch.dtype) -> str:
    """One sentence on why the kernel cannot take this tensor; empty if it can."""
    if dtype not in _KERNEL_DTYPES:
        return f"The kernels do not take numbers of {dtype}."
    return why_no_kernel("dropout", device)


def _check(x: Tensor, p: float, seeds: Tensor | None) -> None:
    check_tensors(x=x)
    check_numbers(p=p)
    if not x.is_floating_point():
        raise TypeError(f"x must be floating, not {x.dtype}.")
    if not 0 <= p <= 1:
        raise ValueError(f"The p of dropout is in [0, 1], not {p}.")
    if seeds is None:
        return
    check_tensors(seeds=seeds)
    if seeds.dtype != torch.int64:
        raise TypeError(f"seeds must be int64, not {seeds.dtype}.")
    if seeds.device != x.device:
        raise ValueError(f"seeds is on {seeds.device}, but x on {x.device}.")
    if seeds.dim() != 1 or not len(seeds) or x.numel() % len(seeds):
        raise ValueError(
            f"dropout takes seeds [N] for N equal parts of x, not {tuple(seeds.shape)} for "
            f"{x.numel()} elements."
        )
