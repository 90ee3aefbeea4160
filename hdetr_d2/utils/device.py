"""Moving numbers from the host to a device."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar, Token
from typing import Any

import torch
from torch import Tensor

_active: ContextVar["Constants | None"] = ContextVar("hdetr_d2_constants", default=None)


@contextmanager
def on_host() -> Iterator[None]:
    """Within this context or decorated function, tensors without a device are created on the host,
    also in a program with another default (`torch.set_default_device`).
    """
    is_host = torch.get_default_device().type == "cpu"
    with nullcontext() if is_host else torch.device("cpu"):
        yield


def to_device(values: Sequence, like: Tensor) -> Tensor:
    """A tensor of `values` with the dtype and device of `like`, copied without waiting for the
    device; while `Constants` are active, it is shared and must not be changed.
    """
    constants = _active.get()
    return _copy(values, like) if constants is None else constants.of(values, like)


def travel(tensor: Tensor, device: torch.device | str) -> Tensor:
    """`tensor` on `device`, without waiting for the device: host tensors are copied to a CUDA
    device from page-locked memory.
    """
    return _pinned(tensor, torch.device(device)).to(device, non_blocking=True)


def lay(tensor: Tensor, place: Tensor) -> None:
    """The same, into `place`, a tensor of the same shape."""
    place.copy_(_pinned(tensor, place.device), non_blocking=True)


def _pinned(tensor: Tensor, device: torch.device) -> Tensor:
    travels = tensor.device.type == "cpu" and device.type == "cuda"
    return tensor.pin_memory() if travels else tensor  # returns itself if it is pinned already


def _copy(values: Sequence, like: Tensor) -> Tensor:
    return travel(torch.tensor(values, dtype=like.dtype, device="cpu"), like.device)


class UnknownConstant(RuntimeError):
    """Host numbers that a recorded step cannot copy to the device, because no previous step has
    used them.
    """


class Constants:
    """While active (`with constants:`), copies host numbers to the device once and keeps them, so
    that a recorded step finds them at the same address.

    growing: whether new numbers are accepted.
    """

    def __init__(self) -> None:
        self.growing = True
        self._known: dict[tuple, Tensor] = {}
        self._token: Token | None = None

    def __enter__(self) -> "Constants":
        self._token = _active.set(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._token is not None:
            _active.reset(self._token)

    def of(self, values: Sequence, like: Tensor) -> Tensor:
        """See `to_device`.

        Raises:
            UnknownConstant: the numbers are new, and it is not `growing`.
        """
        key = (_frozen(values), like.dtype, like.device)
        if key not in self._known:
            if not self.growing:
                raise UnknownConstant(f"{values} was not among the numbers of the steps before")
            self._known[key] = _copy(values, like)
        return self._known[key]


def _frozen(values: Any) -> Any:
    return tuple(map(_frozen, values)) if isinstance(values, (list, tuple)) else values
