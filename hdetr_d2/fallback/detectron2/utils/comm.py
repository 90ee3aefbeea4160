"""Communication with the other processes of a training; also works with a single process."""

from typing import Any
from weakref import WeakValueDictionary

import torch
import torch.distributed as dist
from detectron2._subset import absent

__all__ = [
    "all_gather",
    "create_local_process_group",
    "gather",
    "get_local_process_group",
    "get_local_rank",
    "get_rank",
    "get_world_size",
    "is_main_process",
    "synchronize",
]

__getattr__ = absent(__name__)

# Weak: destroy_process_group ends a group, after which a new one may be created.
_groups: WeakValueDictionary[str, Any] = WeakValueDictionary()


def _distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def get_world_size() -> int:
    return dist.get_world_size() if _distributed() else 1


def get_rank() -> int:
    return dist.get_rank() if _distributed() else 0


def is_main_process() -> bool:
    return get_rank() == 0


def create_local_process_group(num_workers_per_machine: int) -> None:
    """Creates the group of the processes on this machine; called by all processes together."""
    assert get_world_size() % num_workers_per_machine == 0
    for first in range(0, get_world_size(), num_workers_per_machine):
        ranks = list(range(first, first + num_workers_per_machine))
        group = dist.new_group(ranks)  # a collective call, including the groups of other machines
        if isinstance(group, dist.ProcessGroup):
            _groups["local"] = group


def get_local_process_group() -> dist.ProcessGroup:
    """The processes on this machine."""
    assert "local" in _groups, "call comm.create_local_process_group after init_process_group"
    return _groups["local"]


def get_local_rank() -> int:
    """The rank among the processes on this machine."""
    return dist.get_rank(get_local_process_group()) if _distributed() else 0


def synchronize() -> None:
    """Waits until every process has arrived."""
    if get_world_size() == 1:
        return
    on_gpu = dist.get_backend() == dist.Backend.NCCL
    dist.barrier(device_ids=[torch.cuda.current_device()] if on_gpu else None)


def _cpu_group() -> dist.ProcessGroup | None:
    """All processes, through a backend that can send pickled objects without the GPU."""
    if dist.get_backend() != dist.Backend.NCCL:
        return None  # torch's own default
    if "cpu" not in _groups:
        _groups["cpu"] = dist.new_group(backend="gloo")
    return _groups["cpu"]


def all_gather(data: Any, group: dist.ProcessGroup | None = None) -> list[Any]:
    """`data` (anything that can be pickled) of every process, by rank, in every process."""
    if get_world_size() == 1:
        return [data]
    group = group or _cpu_group()
    collected: list[Any] = [None] * dist.get_world_size(group)
    dist.all_gather_object(collected, data, group=group)
    return collected


def gather(data: Any, dst: int = 0, group: dist.ProcessGroup | None = None) -> list[Any]:
    """Like `all_gather`, but only in process `dst`; an empty list elsewhere."""
    if get_world_size() == 1:
        return [data]
    group = group or _cpu_group()
    if dist.get_rank(group) != dst:
        dist.gather_object(data, None, dst=dst, group=group)
        return []
    collected: list[Any] = [None] * dist.get_world_size(group)
    dist.gather_object(data, collected, dst=dst, group=group)
    return collected
