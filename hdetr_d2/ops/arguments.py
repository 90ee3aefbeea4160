"""Checks of operator arguments that come before everything else."""

from numbers import Real
from typing import Any

import torch
from torch import Tensor

_NUMBERS = (int, float, Real, torch.SymInt, torch.SymFloat)


def check_tensors(**arguments: Any) -> None:
    """Checks arguments, passed by name.

    Raises:
        TypeError: an argument is not a tensor.
    """
    for name, argument in arguments.items():
        if not isinstance(argument, Tensor):
            raise TypeError(f"{name} must be a Tensor, not {type(argument).__name__}.")


def check_numbers(**arguments: Any) -> None:
    """Checks arguments, passed by name. Tensors are none: they would lose their gradient.

    Raises:
        TypeError: an argument is not a number.
    """
    for name, argument in arguments.items():
        if not isinstance(argument, _NUMBERS):
            raise TypeError(f"{name} must be a number, not {type(argument).__name__}.")


def check_boxes(**arguments: Any) -> None:
    """Checks arguments, passed by name.

    Raises:
        TypeError: an argument is not a tensor.
        ValueError: its last axis does not have four numbers.
    """
    check_tensors(**arguments)
    for name, boxes in arguments.items():
        if boxes.dim() < 1 or boxes.shape[-1] != 4:
            raise ValueError(f"{name} must be Tensor[..., 4], not of shape {tuple(boxes.shape)}.")
