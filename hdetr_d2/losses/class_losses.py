"""What a model learns about classes, in one object: the loss, the matching cost and the scores that
fit it.
"""

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from hdetr_d2.ops import ClassCost, FocalCost
from hdetr_d2.ops.focal import focal_loss
from hdetr_d2.structures import NO_LOSS


class ClassLoss(nn.Module, ABC):
    """A classification loss; matcher, criterion, heads and post-processing all ask it."""

    @abstractmethod
    def num_outputs(self, num_classes: int) -> int:
        """Channels of a class head for `num_classes` classes."""

    @abstractmethod
    def init_bias(self, bias: Tensor) -> None:
        """Sets the bias `Tensor[num_outputs]` of a new class head, in place."""

    @abstractmethod
    def scores(self, logits: Tensor) -> Tensor:
        """`Tensor[..., num_outputs]` logits to `Tensor[..., num_classes]` scores in [0, 1]."""

    @property
    @abstractmethod
    def matching_cost(self) -> ClassCost:
        """The class cost of a matching whose queries learn by this loss."""

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The loss of each layer, summed over its queries.

        Args:
            logits: `Tensor[L, B, Q, num_outputs]`.
            labels: `Tensor[L, B, Q]`, `BACKGROUND` for none, `NO_LOSS` where no loss is wanted.

        Returns:
            `Tensor[L]` float32.
        """


class FocalLoss(ClassLoss):
    """Sigmoid focal loss (https://arxiv.org/abs/1708.02002), every class for itself, no background
    class.

    Args:
        alpha: weight of positives; negatives have 1 - alpha.
        gamma: how fast easy examples lose their weight.
        prior: score that a new head gives to everything.
    """

    def __init__(self, *, alpha: float = 0.25, gamma: float = 2.0, prior: float = 0.01) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.prior = prior

    def num_outputs(self, num_classes: int) -> int:
        return num_classes

    def init_bias(self, bias: Tensor) -> None:
        nn.init.constant_(bias, -math.log((1 - self.prior) / self.prior))

    def scores(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    @property
    def matching_cost(self) -> FocalCost:
        return FocalCost(self.alpha, self.gamma)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        logits = logits.float()
        # Every class as a negative, then the difference where a query has a target: that is far
        # fewer elements than a dense one-hot target, and it needs no host-side selection.
        negative = torch.where(labels != NO_LOSS, self._negative(logits).sum(-1), 0.0).sum((1, 2))
        picked = logits.gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1)
        positive = torch.where(labels >= 0, self._positive(picked) - self._negative(picked), 0.0)
        return negative + positive.sum((1, 2))

    def _positive(self, logits: Tensor) -> Tensor:
        """Loss of a logit whose class is there."""
        return focal_loss(logits, self.alpha, self.gamma)

    def _negative(self, logits: Tensor) -> Tensor:
        return focal_loss(-logits, 1 - self.alpha, self.gamma)
