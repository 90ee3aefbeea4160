"""What PyTorch must know of the compiled op: shapes without data, and the derivative."""

from typing import Any

import torch
from torch import Tensor

from hdetr_d2.ops.derivative import no_second_derivative

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


def register() -> torch.library.Library:
    """Tells PyTorch; the rules hold as long as the answer is kept."""
    library = torch.library.Library("hdetr_d2", "FRAGMENT")
    torch.library.register_fake(_OP, _fake, lib=library)
    torch.library.register_fake(_BACKWARD, _fake_backward, lib=library)
    torch.library.register_autograd(_OP, _backward, setup_context=_save, lib=library)
    refuse = no_second_derivative("sigmoid_focal_loss")
    torch.library.register_autograd(_BACKWARD, refuse, lib=library)
    return library
