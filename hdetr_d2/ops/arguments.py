"""What the operators ask of an argument before anything else looks at it."""

from typing import Any

from torch import Tensor


def check_tensors(**arguments: Any) -> None:
    """Of arguments by their names.

    Raises:
        TypeError: one is no tensor.
    """
    for name, argument in arguments.items():
        if not isinstance(argument, Tensor):
            raise TypeError(f"{name} must be a Tensor, not {type(argument).__name__}.")
