"""A draw without chance."""

from collections.abc import Sequence

import torch
from torch import Tensor


def in_order(shape: Sequence[int], device: torch.device) -> Tensor:
    """Keys that rise with the index: the first candidates are taken, as in what was recorded."""
    count = shape[-1]
    return (torch.arange(count, device=device, dtype=torch.float32) / count).expand(tuple(shape))
