"""Host numbers on a device."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar, Token
from typing import Any

import torch
from torch import Tensor

_active: ContextVar["Constants | None"] = ContextVar("hdetr_d2_constants", default=None)


@contextmanager
def on_host() -> Iterator[None]:
    """Within it, and in what it decorates, tensors without a device are the host's, also in a
    program that has set another default (`torch.set_default_device`).
    """
    is_host = torch.get_default_device().type == "cpu"
    with nullcontext() if is_host else torch.device("cpu"):
        yield


def to_device(values: Sequence, like: Tensor) -> Tensor:
    """A tensor of `values` with the dtype and device of `like`, copied without waiting for the
    device; while `Constants` are active, theirs, which is not to be changed.
    """
    constants = _active.get()
    return _copy(values, like) if constants is None else constants.of(values, like)


def travel(tensor: Tensor, device: torch.device | str) -> Tensor:
    """`tensor` on `device`, without waiting for the device: a host's tensor goes to a CUDA device
    from page-locked memory.
    """
    return _pinned(tensor, torch.device(device)).to(device, non_blocking=True)


def lay(tensor: Tensor, place: Tensor) -> None:
    """The same into `place`, a tensor of the same shape."""
    place.copy_(_pinned(tensor, place.device), non_blocking=True)


def _pinned(tensor: Tensor, device: torch.device) -> Tensor:
    travels = tensor.device.type == "cpu" and device.type == "cuda"
    return tensor.pin_memory() if travels else tensor  # which one that is pinned answers itself


def _copy(values: Sequence, like: Tensor) -> Tensor:
    return travel(torch.tensor(values, dtype=like.dtype, device="cpu"), like.device)


class UnknownConstant(RuntimeError):
    """Numbers of the host that a recorded step cannot bring to the device: none of the steps before
    has had them.
    """


class Constants:
    """Copies the numbers of the host to the device once, while it is active (`with constants:`),
    and keeps them: what is recorded of a step then finds them again, at the same place.

    growing: whether it takes in numbers that it has not seen yet.
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
        """As `to_device` says.

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
