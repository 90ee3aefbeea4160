"""Strategies for training one model in several processes."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Parallel:
    """The interface of a strategy. The methods here do what a run with a single process needs,
    which is almost nothing; strategies for several processes are subclasses.

    saves_together: whether saving a checkpoint involves all processes, not only the main one.
    """

    saves_together: ClassVar[bool] = False

    def shard(self, model: nn.Module, optimizer: Optimizer | None = None) -> None:
        """Replaces model and optimizer state by this process's shard of them; called once, after
        all weights and states are loaded.
        """

    def wrap(self, model: nn.Module) -> nn.Module:
        """The module that the training calls in place of the model; it averages gradients over the
        processes.
        """
        return model

    def accumulating(self, wrapped: nn.Module) -> AbstractContextManager:
        """Context manager for a forward and backward pass that is not the last of its step."""
        return nullcontext()

    def finish_gradients(self) -> None:
        """Called after the last backward pass of a step."""

    def clip(self, parameters: Iterable[nn.Parameter], max_norm: float) -> Tensor:
        """Scales gradients down to a norm of at most `max_norm`; returns the norm before, a 0-d
        tensor.
        """
        return torch.nn.utils.clip_grad_norm_(parameters, max_norm).detach()

    def whole(self, model: nn.Module) -> AbstractContextManager:
        """Context manager within which every process has the whole model and can process its own
        images independently, since their numbers may differ.
        """
        return nullcontext()
