"""The one reduction that the losses need."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch.distributed as dist
from torch import Tensor

_APART = ContextVar("apart", default=False)


@contextmanager
def apart() -> Iterator[None]:
    """Within it, this process is as if it were the only one: its losses wait for no other one, and
    are those of its own images.
    """
    before = _APART.set(True)
    try:
        yield
    finally:
        _APART.reset(before)


def mean_over_processes(value: Tensor) -> Tensor:
    """`value` averaged over all processes; itself when there is one, and where they are `apart`.
    Never waits for the device.
    """
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return value
    if _APART.get():
        return value
    total = value.clone()
    dist.all_reduce(total)
    return total / dist.get_world_size()
