"""The model in several processes."""

from typing import Any

from detectron2.utils import comm
from torch import nn
from torch.nn.parallel import DistributedDataParallel


def distribute(model: nn.Module, **options: Any) -> nn.Module:
    """The model wrapped in DistributedDataParallel; the model itself in a run of one process.

    No `device_ids`, on the CPU or on CUDA: they would only make the wrapper move the inputs, and
    wait for each of them, where the model moves its own without waiting. Every parameter gets a
    gradient in every step, also in a process that sees empty images only, so unused parameters are
    not searched for.

    Args:
        model: on its device.
        options: of DistributedDataParallel.
    """
    return model if comm.get_world_size() == 1 else DistributedDataParallel(model, **options)


def undistributed(model: nn.Module) -> nn.Module:
    """The model inside the wrapper."""
    return model.module if isinstance(model, DistributedDataParallel) else model
