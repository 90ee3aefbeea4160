"""Strategies for training one model in several processes."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Parallel:
    """The interface of a strategy. Every method does what a single-process run needs, which is
    almost nothing; strategies for several processes are subclasses.

    saves_together: whether saving a checkpoint involves all processes, not only the main one.
    """

    saves_together: ClassVar[bool] = False

    def shard(self, model: nn.Module, optimizer: Optimizer | None = None) -> None:
        """Reduces this process to its shard of the model and optimizer state; called once after all
        weights and states are loaded.
        """

    def wrap(self, model: nn.Module) -> nn.Module:
        """The module that the training calls in place of the model; gradients are then averaged
        over the processes.
        """
        return model

    def accumulating(self, wrapped: nn.Module) -> AbstractContextManager:
        """Context of a forward and backward pass that others of the same step follow."""
        return nullcontext()

    def finish_gradients(self) -> None:
        """Called after the last backward pass of a step."""

    def clip(self, parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
        """Scales gradients to at most `max_norm`; returns their norm before, a 0-d tensor."""
        return torch.nn.utils.clip_grad_norm_(parameters, max_norm).detach()

    def whole(self, model: nn.Module) -> AbstractContextManager:
        """Within this context every process has the whole model and can process its own images
        independently, since their numbers may differ.
        """
        return nullcontext()
