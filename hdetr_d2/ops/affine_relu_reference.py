"""Constant norm, shortcut and ReLU in PyTorch's own operations: the kernels' reference."""

import torch
from torch import Tensor


def affine_relu_reference(
    x: Tensor,
    scale: Tensor,
    shift: Tensor,
    residual: Tensor | None = None,
    ceiling: float | None = None,
) -> Tensor:
    """The same as `affine_relu`, with the same arguments, which are not checked.

    Runs on every device and with every floating dtype; intermediate results are rounded to that of
    `x`.
    """
    scale, shift = (each.to(x.dtype)[:, None, None] for each in (scale, shift))
    y = torch.addcmul(shift, x, scale)
    y = y if residual is None else y + residual.to(x.dtype)
    return y.relu() if ceiling is None else torch.nn.functional.hardtanh(y, 0.0, ceiling)
