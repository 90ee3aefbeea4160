"""A network that learns nothing and is no part of the model that learns from it."""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import torch
from torch import nn

from hdetr_d2.utils.random_state import seeded

Net = TypeVar("Net", bound=nn.Module)


class Frozen(ABC, Generic[Net]):
    """Holds a network in evaluation mode, without gradient.

    It is made when it is first asked: a checkpoint of the student can be evaluated without its
    teacher. As this is no module, the network is in no state, optimizer or average of the student.
    """

    _net: Net | None = None

    @abstractmethod
    def build(self, device: torch.device) -> Net:
        """The network, anywhere.

        Raises:
            UserError: it cannot be had.
        """

    def net(self, device: torch.device) -> Net:
        """The network on `device`."""
        if self._net is None:
            # To make a network draws numbers: none of those of the step, which a resumed run, that
            # makes it in another one, repeats.
            with seeded(0, [device]):
                self._net = self.build(device).to(device).requires_grad_(False).eval()
        return self._net

    def __getstate__(self) -> dict:
        """Copies and other processes make it again."""
        return {**self.__dict__, "_net": None}
