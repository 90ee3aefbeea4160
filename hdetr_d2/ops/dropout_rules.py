"""What PyTorch needs to know about the compiled operator: output shapes, and the derivative."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.ops.derivative import Derivative, register_derivative

_OP = "hdetr_d2::dropout"


def _fake(x: Tensor, seeds: Tensor, p: float) -> Tensor:
    return x.new_empty(x.shape)


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    _, seeds, ctx.p = inputs
    ctx.save_for_backward(seeds)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
    """The same seeds drop the same elements of the gradient."""
    return torch.ops.hdetr_d2.dropout(gradient, *ctx.saved_tensors, ctx.p), None, None


def _tangent(arguments: Sequence[Any], tangents: Sequence[Tensor | None]) -> Tensor:
    _, seeds, p = arguments
    (tangent, *_) = tangents
    assert tangent is not None  # seeds are integers
    return torch.ops.hdetr_d2.dropout(tangent, seeds, p)


def register() -> torch.library.Library:
    """Registers the rules with PyTorch; they stay registered as long as the returned object
    lives.
    """
    library = torch.library.Library("hdetr_d2", "FRAGMENT")
    torch.library.register_fake(_OP, _fake, lib=library)
    rules = Derivative(save=_save, backward=_backward, tangent=_tangent)
    register_derivative("dropout", rules, library)
    return library
