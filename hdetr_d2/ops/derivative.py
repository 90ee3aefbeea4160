"""What operators answer to a derivative that they do not have."""

from collections.abc import Callable
from typing import Any, NoReturn

from torch import Tensor


def no_second_derivative(op: str) -> Callable[..., NoReturn]:
    """The backward of a backward, for `torch.library.register_autograd`."""

    def refuse(ctx: Any, *gradients: Tensor) -> NoReturn:
        raise RuntimeError(f"{op} has no second derivative: it can be differentiated once.")

    return refuse
