"""Communication between processes: the one reduction that the losses need, and gathering of sharded
tensors.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch.distributed as dist
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map_only

_APART = ContextVar("apart", default=False)


@contextmanager
def apart() -> Iterator[None]:
    """Within this context, the process acts as if it were the only one: its losses do not wait for
    others, and cover its own images only.
    """
    before = _APART.set(True)
    try:
        yield
    finally:
        _APART.reset(before)


def mean_over_processes(value: Tensor) -> Tensor:
    """`value` averaged over all processes; unchanged for a single process, and within `apart`.
    Never waits for the device.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return value
    if _APART.get():
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()


def gathered(content: Any) -> Any:
    """`content`, arbitrarily nested, with sharded tensors replaced by complete ones on the CPU.
    Called by all processes; only the first keeps the result, others get empty tensors.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return content
    from torch.distributed.tensor import DTensor  # requires torch.distributed

    if not any(isinstance(leaf, DTensor) for leaf in tree_leaves(content)):
        return content
    keeps = dist.get_rank() == 0

    def whole(part: DTensor) -> Tensor:
        tensor = part.full_tensor().detach()
        return tensor.cpu() if keeps else tensor.new_empty(0)

    return tree_map_only(DTensor, whole, content)


def held_bytes(tensors: Iterable[Tensor | None]) -> int:
    """The number of bytes of the tensors that this process holds."""
    parts = [own_part(each) for each in tensors if each is not None]
    return sum(each.numel() * each.element_size() for each in parts)


def own_part(tensor: Tensor) -> Tensor:
    """This process's shard of a tensor, in the same memory."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor
