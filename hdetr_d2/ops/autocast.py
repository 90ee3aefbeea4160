"""Autocast, for operators with a precision of their own or without a gradient."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

# A set, because not every release of PyTorch can trace the query (2.10).
_KINDS = frozenset(
    kind
    for kind in ("cpu", "cuda", "hpu", "ipu", "mps", "mtia", "xla", "xpu")
    if torch.amp.is_autocast_available(kind)
)


def without_autocast(device: torch.device) -> AbstractContextManager:
    """Disables autocast, also for device types that do not have it."""
    if device.type not in _KINDS:
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


@contextmanager
def without_gradient(device: torch.device) -> Iterator[None]:
    """`torch.no_grad()` for modules that are also used in passes with gradients.

    Autocast caches the casts of weights. Some releases of PyTorch (2.10) also cache a cast made
    without gradient, so that the weight receives no gradient from later uses. Within this context
    no cast is cached.
    """
    kind = device.type
    if kind not in _KINDS:
        with torch.no_grad():
            yield
        return
    enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    with torch.no_grad(), torch.autocast(kind, dtype, enabled, cache_enabled=False):
        yield
