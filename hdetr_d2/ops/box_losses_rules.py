"""What PyTorch needs to know about the compiled operator: output shapes, and the derivative."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.ops.derivative import Derivative, no_second_derivative, register_derivative

_OP = "hdetr_d2::box_losses"
_BACKWARD = "hdetr_d2::box_losses_backward"


def _fake(boxes: Tensor, truth: Tensor, index: Tensor) -> Tensor:
    return boxes.new_empty(*boxes.shape[:2], 2)


def _fake_backward(grad_losses: Tensor, boxes: Tensor, truth: Tensor, index: Tensor) -> Tensor:
    return boxes.new_empty(boxes.shape)


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad_losses: Tensor) -> tuple[Tensor, None, None]:
    gradient = torch.ops.hdetr_d2.box_losses_backward(grad_losses, *ctx.saved_tensors)
    return gradient, None, None


def _tangent(arguments: Sequence[Any], tangents: Sequence[Tensor | None]) -> Tensor:
    """Each row's two losses depend on its own box only."""
    of_boxes, of_truth, _ = tangents
    if of_truth is not None:
        raise RuntimeError("box_losses has no derivative by the truth.")
    assert of_boxes is not None  # the index is integer
    boxes = arguments[0]
    each = torch.eye(2, dtype=boxes.dtype, device=boxes.device)
    slopes = [
        torch.ops.hdetr_d2.box_losses_backward(one.expand(*boxes.shape[:2], 2), *arguments)
        for one in each
    ]
    return torch.stack([(slope * of_boxes).sum(-1) for slope in slopes], -1)


def register() -> torch.library.Library:
    """Registers the rules with PyTorch; they stay registered as long as the returned object
    lives.
    """
    library = torch.library.Library("hdetr_d2", "FRAGMENT")
    torch.library.register_fake(_OP, _fake, lib=library)
    torch.library.register_fake(_BACKWARD, _fake_backward, lib=library)
    rules = Derivative(save=_save, backward=_backward, tangent=_tangent)
    register_derivative("box_losses", rules, library)
    register_derivative("box_losses_backward", no_second_derivative("box_losses"), library)
    return library
