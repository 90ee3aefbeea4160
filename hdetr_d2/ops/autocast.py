"""Autocast, where an operator has a precision of its own, or no gradient."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

# A set, because not every release of PyTorch can trace the question (2.10).
_KINDS = frozenset(
    kind
    for kind in ("cpu", "cuda", "hpu", "ipu", "mps", "mtia", "xla", "xpu")
    if torch.amp.is_autocast_available(kind)
)


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Autocast is off within, also for a kind of device that has none."""
    if device.type not in _KINDS:
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


@contextmanager
def without_gradient(device: torch.device) -> Iterator[None]:
    """`torch.no_grad()` for modules that a pass with gradients uses, too.

    Autocast remembers the casts of weights. Some releases of PyTorch (2.10) remember one that was
    made without gradient as well, and the weight then learns nothing from what follows: no cast is
    remembered within.
    """
    kind = device.type
    if kind not in _KINDS:
        with torch.no_grad():
            yield
        return
    enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    with torch.no_grad(), torch.autocast(kind, dtype, enabled, cache_enabled=False):
        yield
