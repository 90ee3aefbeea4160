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
        options: of DistributedDataParallel. By default buffers are sent to the other processes only
            if training changes some of them, and gradients lie in the buffers of the exchange.
    """
    if comm.get_world_size() == 1:
        return model
    defaults = {"broadcast_buffers": _learns_buffers(model), "gradient_as_bucket_view": True}
    return DistributedDataParallel(model, **{**defaults, **options})


def _learns_buffers(model: nn.Module) -> bool:
    """Running statistics are the only buffers here that are not constant."""
    return any(getattr(module, "track_running_stats", False) for module in model.modules())


def undistributed(model: nn.Module) -> nn.Module:
    """The model inside the wrapper."""
    return model.module if isinstance(model, DistributedDataParallel) else model
