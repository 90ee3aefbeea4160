"""Checks of operator arguments that come before everything else."""

from typing import Any

from torch import Tensor


def check_tensors(**arguments: Any) -> None:
    """Checks arguments, passed by name.

    Raises:
        TypeError: an argument is not a tensor.
    """
    for name, argument in arguments.items():
        if not isinstance(argument, Tensor):
            raise TypeError(f"{name} must be a Tensor, not {type(argument).__name__}.")
