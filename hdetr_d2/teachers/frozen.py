"""A frozen network that is not part of the model that learns from it."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import nn

from hdetr_d2.utils.random_state import seeded

Net = TypeVar("Net", bound=nn.Module)


class Frozen(ABC, Generic[Net]):
    """Holds a network in evaluation mode, without gradients.

    It is created on first use, so that a checkpoint of the student can be evaluated without its
    teacher. Since this is not a module, the network is not in any state dict, optimizer or average
    of the student.
    """

    _net: Net | None = None

    @abstractmethod
    def build(self, device: torch.device) -> Net:
        """The network, on any device.

        Raises:
            UserError: it is not available.
        """

    def net(self, device: torch.device) -> Net:
        """The network on `device`."""
        if self._net is None:
            # Creating a network draws random numbers. They must not be the step's, because a
            # resumed run creates the network in a different step.
            with seeded(0, [device]):
                self._net = self.build(device).to(device).requires_grad_(False).eval()
        return self._net

    def __getstate__(self) -> dict:
        """Copies and other processes create it again."""
        return {**self.__dict__, "_net": None}
