"""A moving average of the weights, which often evaluates better than the weights themselves."""

from itertools import chain

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from hdetr_d2.errors import UserError
from hdetr_d2.utils.distributed import own_part


class ModelEma(AveragedModel):
    """The exponential moving average of a model's parameters and buffers, in `self.module`.

    The first update copies the weights. The decay of update n is min(decay, (1 + n) / (10 + n)), so
    that the random initial weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, *, decay: float) -> None:
        """
        Raises:
            UserError: `decay` is outside of (0, 1).
        """
        if not 0 < decay < 1:
            raise UserError(f"train.ema.decay={decay} must lie between 0 and 1")
        # `n_averaged` stays on the host, wherever the model is, so that reading it does not wait.
        super().__init__(model, use_buffers=True)
        self.decay = decay
        self.requires_grad_(False)
        self.eval()

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """Blends in the weights of `model`. The base class's own method waits for a CUDA device."""
        count = int(self.n_averaged)
        decay = min(self.decay, (1 + count) / (10 + count)) if count else 0.0
        average, current = (
            [own_part(each) for each in chain(whose.parameters(), whose.buffers())]
            for whose in (self.module, model)
        )
        blended = [i for i, tensor in enumerate(average) if tensor.is_floating_point()]
        copied = [i for i, tensor in enumerate(average) if not tensor.is_floating_point()]
        torch._foreach_lerp_(
            [average[i] for i in blended], [current[i] for i in blended], 1 - decay
        )
        for i in copied:  # counters, such as BatchNorm's
            average[i].copy_(current[i])
        self.n_averaged += 1
