"""What PyTorch needs to know about the compiled operator: output shapes, and the derivative."""

import functools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.ops.derivative import Derivative, no_second_derivative, register_derivative

_OP = "hdetr_d2::move_boxes"
_BACKWARD = "hdetr_d2::move_boxes_backward"


def _fake(delta: Tensor, reference: Tensor, eps: float) -> Tensor:
    return delta.new_empty(delta.shape)


def _fake_backward(
    grad_boxes: Tensor, boxes: Tensor, reference: Tensor, eps: float, of_reference: bool
) -> tuple[Tensor, Tensor]:
    return boxes.new_empty(boxes.shape), reference.new_empty(reference.shape if of_reference else 0)


def _save(ctx: Any, inputs: tuple, output: Tensor) -> None:
    _, reference, ctx.eps = inputs
    ctx.of_reference = reference.requires_grad
    ctx.save_for_backward(output, reference)


def _backward(ctx: Any, grad_boxes: Tensor) -> tuple[Tensor, Tensor | None, None]:
    """If the reference needs no gradient, an empty one is returned for it."""
    by_delta, by_reference = torch.ops.hdetr_d2.move_boxes_backward(
        grad_boxes, *ctx.saved_tensors, ctx.eps, ctx.of_reference
    )
    return by_delta, by_reference if ctx.of_reference else None, None


def _tangent(arguments: Sequence[Any], tangents: Sequence[Tensor | None]) -> Tensor:
    """Each coordinate depends on its own delta and reference only."""
    _, reference, eps = arguments
    of_delta, of_reference, _ = tangents
    boxes = torch.ops.hdetr_d2.move_boxes(*arguments)
    by_delta, by_reference = torch.ops.hdetr_d2.move_boxes_backward(
        torch.ones_like(boxes), boxes, reference, eps, of_reference is not None
    )
    parts = []
    if of_delta is not None:
        parts.append(by_delta * of_delta)
    if of_reference is not None:
        parts.append(F.pad(by_reference * of_reference, (0, 4 - reference.shape[-1])))
    return functools.reduce(torch.add, parts)


def register() -> torch.library.Library:
    """Registers the rules with PyTorch; they stay registered as long as the returned object
    lives.
    """
    library = torch.library.Library("hdetr_d2", "FRAGMENT")
    torch.library.register_fake(_OP, _fake, lib=library)
    torch.library.register_fake(_BACKWARD, _fake_backward, lib=library)
    rules = Derivative(save=_save, backward=_backward, tangent=_tangent)
    register_derivative("move_boxes", rules, library)
    register_derivative("move_boxes_backward", no_second_derivative("move_boxes"), library)
    return library
