"""Finds what would make the host wait for a device, without the device: within `FakeTensorMode`,
where only shape, dtype and device of a tensor are known.

There a value that is read on the host is an error already, and so is a shape that depends on values
(`.item()`, `bool()`, `.nonzero()`, `x[mask]`); copies between host and device are looked at here.
"""

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class WaitError(AssertionError):
    """A copy for which the host waits."""


WAITS = (WaitError, DataDependentOutputException, DynamicOutputShapeException)
"""All that tells of a wait."""


class NoWaits(TorchDispatchMode):
    """Raises `WaitError` for copies and mixtures of devices that wait. To a device only what was
    page-locked goes without a wait.
    """

    def __enter__(self) -> "NoWaits":
        self._pin = Tensor.pin_memory
        Tensor.pin_memory = _page_locked  # PyTorch's own wants a device
        return super().__enter__()

    def __exit__(self, *exc_info: Any) -> None:
        Tensor.pin_memory = self._pin
        super().__exit__(*exc_info)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._to_copy.default:
            target = torch.device(kwargs.get("device") or args[0].device)
            _check_copy(args[0], target, kwargs.get("non_blocking", False))
        elif func is torch.ops.aten.copy_.default:
            _check_copy(args[1], args[0].device, any(args[2:]))
        else:
            _check_devices(func, [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)])
        return func(*args, **kwargs)


def _page_locked(tensor: Tensor) -> Tensor:
    tensor.page_locked = True
    return tensor


def _check_copy(source: Tensor, target: torch.device, non_blocking: bool) -> None:
    if source.device.type == target.type:
        return
    # What was copied to the host without waiting cannot be read there before a wait.
    if target.type == "cpu" or not non_blocking:
        raise WaitError(f"a copy from {source.device} to {target} waits for the device")
    if not getattr(source, "page_locked", False):
        raise WaitError(f"a copy from {source.device} to {target} starts from pageable memory")


def _check_devices(func: Any, tensors: list[Tensor]) -> None:
    # A single number on the host goes along with the other arguments of a kernel.
    if len({x.device.type for x in tensors if x.dim() or x.device.type != "cpu"}) > 1:
        raise WaitError(f"{func} takes tensors of the host and of the device")
