"""Copies of a module with other tensors."""

from collections.abc import Callable
from copy import deepcopy
from typing import TypeVar

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def copy_with(module: Module, change: Callable[[Tensor], Tensor]) -> Module:
    """Modules of their own, with `change(tensor)` in the place of each parameter and buffer; what
    is shared in `module` is shared in the copy. `module` stays as it is.
    """
    memo: dict[int, object] = {}
    for parameter in module.parameters():
        changed = change(parameter)
        memo[id(parameter)] = (
            changed if changed is parameter else nn.Parameter(changed, parameter.requires_grad)
        )
    memo |= {id(buffer): change(buffer) for buffer in module.buffers()}
    return deepcopy(module, memo)
