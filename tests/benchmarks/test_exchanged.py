"""What is counted of exchanges, in a group of one process."""

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from exchanged import Exchanged, sent_in_ring


@pytest.fixture
def group() -> Iterator[None]:
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_whole_tensors_are_counted(group: None) -> None:
    with Exchanged() as exchanged:
        dist.all_reduce(torch.ones(3))  # 12 bytes
        dist.all_reduce(torch.ones(3, dtype=torch.float64))  # 24 bytes
        dist.all_gather_into_tensor(torch.empty(8), torch.ones(8))
        dist.reduce_scatter_tensor(torch.empty(2), torch.ones(2))
        dist.broadcast(torch.ones(1), 0)
        torch.ones(100).add_(1)
    assert exchanged.bytes == {"allreduce": 36, "allgather": 32, "reducescatter": 8, "broadcast": 4}


def test_what_is_reduced_goes_around_twice() -> None:
    assert sent_in_ring({"allreduce": 100}, 4) == 150
    assert sent_in_ring({"allgather": 100, "reducescatter": 100}, 4) == 150
    assert sent_in_ring({"allreduce": 100}, 1) == 0
