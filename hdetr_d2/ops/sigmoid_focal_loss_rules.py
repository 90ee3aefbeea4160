"""What PyTorch needs to know about the compiled operator: output shapes, and the derivative."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.ops.derivative import Derivative, no_second_derivative, register_derivative

_OP = "hdetr_d2::sigmoid_focal_loss"
_BACKWARD = "hdetr_d2::sigmoid_focal_loss_backward"


def _fake(logits: Tensor, labels: Tensor, alpha: float, gamma: float) -> Tensor:
    return logits.new_empty(logits.shape[0], dtype=torch.float32)


def _fake_backward(
    grad_loss: Tensor, logits: Tensor, labels: Tensor, alpha: float, gamma: float
) -> Tensor:
    return logits.new_empty(logits.shape)


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    logits, labels, ctx.alpha, ctx.gamma = inputs
    ctx.save_for_backward(logits, labels)


def _backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor, None, None, None]:
    gradient = torch.ops.hdetr_d2.sigmoid_focal_loss_backward(
        grad_loss, *ctx.saved_tensors, ctx.alpha, ctx.gamma
    )
    return gradient, None, None, None


def _tangent(arguments: Sequence[Any], tangents: Sequence[Tensor | None]) -> Tensor:
    """A layer's loss is a sum over its logits, each with its own slope."""
    logits, labels, *form = arguments
    (tangent, *_) = tangents
    assert tangent is not None  # labels are integers
    ones = logits.new_ones(logits.shape[0], dtype=torch.float32)
    slopes = torch.ops.hdetr_d2.sigmoid_focal_loss_backward(ones, logits.float(), labels, *form)
    return (slopes * tangent).sum((1, 2, 3))


def register() -> torch.library.Library:
    """Registers the rules with PyTorch; they stay registered as long as the returned object
    lives.
    """
    library = torch.library.Library("hdetr_d2", "FRAGMENT")
    torch.library.register_fake(_OP, _fake, lib=library)
    torch.library.register_fake(_BACKWARD, _fake_backward, lib=library)
    rules = Derivative(save=_save, backward=_backward, tangent=_tangent)
    register_derivative("sigmoid_focal_loss", rules, library)
    refusal = no_second_derivative("sigmoid_focal_loss")
    register_derivative("sigmoid_focal_loss_backward", refusal, library)
    return library
