"""Random choices that tests can replace."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


class Draw(Protocol):
    """Assigns keys in [0, 1) to candidates; those with the smallest keys are taken."""

    def __call__(self, shape: Sequence[int], device: torch.device) -> Tensor:
        """Keys, float32."""


class RandomDraw:
    """Every candidate has the same chance.

    Args:
        generator: on the device of the keys; None for PyTorch's default.
    """

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def __call__(self, shape: Sequence[int], device: torch.device) -> Tensor:
        return torch.rand(tuple(shape), generator=self.generator, device=device)
