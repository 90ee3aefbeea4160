"""How the processes of a run train one model together."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Parallel:
    """What a training asks of its way to be parallel. Every method does what a run of one process
    needs, which is next to nothing; those of several processes are subclasses.

    saves_together: whether a checkpoint takes all processes, and not the main one alone.
    """

    saves_together: ClassVar[bool] = False

    def shard(self, model: nn.Module, optimizer: Optimizer | None = None) -> None:
        """Leave this process only the part of the model that it keeps, and of what the optimizer
        keeps for it; called once all weights and states are loaded.
        """

    def wrap(self, model: nn.Module) -> nn.Module:
        """What the training calls in the place of the model, whose gradients are then the means
        over the processes.
        """
        return model

    def accumulating(self, wrapped: nn.Module) -> AbstractContextManager:
        """Around a forward and backward pass behind which others of the same step follow."""
        return nullcontext()

    def finish_gradients(self) -> None:
        """Called behind the last backward pass of a step."""

    def clip(self, parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
        """Scale the gradients down to `max_norm`; returns their norm before, a 0-d tensor."""
        return torch.nn.utils.clip_grad_norm_(parameters, max_norm).detach()

    def whole(self, model: nn.Module) -> AbstractContextManager:
        """Within it every process has all of the model, and looks at its own images without the
        others, of which each may have another number of them.
        """
        return nullcontext()
