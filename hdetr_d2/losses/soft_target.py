"""The common base of class losses whose target score depends on the fit of the box."""

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.losses.class_losses import FocalLoss, Placed
from hdetr_d2.ops import sigmoid_focal_loss
from hdetr_d2.structures import BACKGROUND


class SoftTargetLoss(FocalLoss):
    """A sigmoid loss with independent classes: the target score of the target's class depends on
    the overlap of the box with the target; that of all other classes is 0. Matching uses the focal
    cost.

    Args:
        beta: how fast the weight of negatives decreases as their score approaches 0.
        negative_weight: weight of negatives.
        alpha, gamma: of the matching cost.
        prior: initial score of a new head.
    """

    def __init__(
        self,
        *,
        beta: float = 2.0,
        negative_weight: float = 1.0,
        alpha: float = 0.25,
        gamma: float = 2.0,
        prior: float = 0.01,
    ) -> None:
        super().__init__(alpha=alpha, gamma=gamma, prior=prior)
        self.beta = beta
        self.negative_weight = negative_weight

    def quality(self, placed: Placed) -> Tensor:
        return placed.iou

    def wanted(self, logits: Tensor, quality: Tensor) -> Tensor:
        """The target scores of the target classes, without gradient: `Tensor[L, B, Q]` from their
        logits and the `quality` of the boxes, both zero where there is no target.
        """
        return quality

    @abstractmethod
    def loss_of_targets(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """The loss of the target classes' logits given their target scores `wanted`:
        `Tensor[L, B, Q]`; arbitrary where there is no target.
        """

    def loss_of_background(self, logits: Tensor) -> Tensor:
        """The loss of negative logits: `Tensor[...]` to `Tensor[...]`."""
        return self.negative_weight * logits.sigmoid() ** self.beta * F.softplus(logits)

    def sum_of_background(self, logits: Tensor, labels: Tensor) -> Tensor:
        """`loss_of_background` summed over each layer, `Tensor[L]`, for logits `Tensor[L, B, Q, K]`
        where `labels` `Tensor[L, B, Q]` are `BACKGROUND`.
        """
        # A focal loss with negatives only, whose kernel allocates nothing of the size of the
        # logits.
        return self.negative_weight * sigmoid_focal_loss(logits, labels, 0.0, self.beta)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        quality: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        assert quality is not None  # as `quality` returns for two boxes
        losses = self.sum_of_background(logits, labels.clamp(max=BACKGROUND))
        has_target = labels >= 0
        own = logits.gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1).to(losses.dtype)
        own = torch.where(has_target, own, 0.0)  # padding may be NaN
        quality = torch.where(has_target, quality, 0.0).to(losses.dtype)
        wanted = self.wanted(own, quality)
        if weights is not None:
            wanted = wanted * weights
        change = self.loss_of_targets(own, wanted) - self.loss_of_background(own)
        return losses + torch.where(has_target, change, 0.0).sum((1, 2))
