"""How the processes of a run train one model together."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn


class Parallel:
    """What a training asks of its way to be parallel. Every method does what a run of one process
    needs, which is next to nothing; those of several processes are subclasses.
    """

    def wrap(self, model: nn.Module) -> nn.Module:
        """What the training calls in the place of the model, whose gradients are then the means
        over the processes.
        """
        return model

    def accumulating(self, wrapped: nn.Module) -> AbstractContextManager:
        """Around a forward and backward pass behind which others of the same step follow."""
        return nullcontext()

    def clip(self, parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
        """Scale the gradients down to `max_norm`; returns their norm before, a 0-d tensor."""
        return torch.nn.utils.clip_grad_norm_(parameters, max_norm).detach()
