"""Copies of a module with different tensors."""

from collections.abc import Callable
from copy import deepcopy
from typing import TypeVar

from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def copy_with(module: Module, change: Callable[[Tensor], Tensor]) -> Module:
    """A copy of `module` with `change(tensor)` in place of each parameter and buffer; tensors
    shared in `module` are shared in the copy. `module` is left unchanged.
    """
    memo: dict[int, object] = {}
    for parameter in module.parameters():
        changed = change(parameter)
        memo[id(parameter)] = (
            changed if changed is parameter else nn.Parameter(changed, parameter.requires_grad)
        )
    memo |= {id(buffer): change(buffer) for buffer in module.buffers()}
    return deepcopy(module, memo)
