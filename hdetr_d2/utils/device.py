"""Host numbers on a device."""

from collections.abc import Sequence

import torch
from torch import Tensor


def to_device(values: Sequence, like: Tensor) -> Tensor:
    """A tensor of `values` with the dtype and device of `like`, copied without waiting for the
    device.
    """
    return torch.tensor(values, dtype=like.dtype).to(like.device, non_blocking=True)
