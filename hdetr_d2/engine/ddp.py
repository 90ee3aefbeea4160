"""Data-parallel training: every process holds the whole model."""

import inspect
from contextlib import AbstractContextManager
from typing import Any, cast

from torch import nn
from torch.nn.parallel import DistributedDataParallel

from hdetr_d2.engine.parallel import Parallel

# The argument of DistributedDataParallel that synchronises buffers: its current name, and its name
# before PyTorch 2.13.
_SENDING = ("forward_sync_buffers", "broadcast_buffers")
_PARAMETERS = inspect.signature(DistributedDataParallel).parameters
_SENDS = next(name for name in _SENDING if name in _PARAMETERS)


class DDP(Parallel):
    """DistributedDataParallel.

    `device_ids` is not passed, neither on the CPU nor on CUDA: it would only make the wrapper move
    the inputs and wait for each of them, while the model moves its own inputs without waiting.
    Every parameter gets a gradient in every step, even in a process whose images are all empty, so
    there is no search for unused parameters.
    """

    def __init__(self, **options: Any) -> None:
        """
        Args:
            options: arguments of DistributedDataParallel. By default, buffers are synchronised only
                if training changes any of them, and gradients are views of the communication
                buckets.
        """
        self.options = options

    def wrap(self, model: nn.Module) -> nn.Module:
        defaults: dict[str, Any] = {"gradient_as_bucket_view": True}
        if self.options.keys().isdisjoint(_SENDING):
            defaults[_SENDS] = learns_buffers(model)
        return DistributedDataParallel(model, **{**defaults, **self.options})

    def accumulating(self, wrapped: nn.Module) -> AbstractContextManager:
        return cast(DistributedDataParallel, wrapped).no_sync()


def learns_buffers(model: nn.Module) -> bool:
    """Whether training changes any buffers: only running statistics are not constant."""
    return any(getattr(module, "track_running_stats", False) for module in model.modules())
