"""Losses that weight negatives by their current score, without gradient through the weight."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.losses.soft_target import SoftTargetLoss
from hdetr_d2.structures import BACKGROUND


class VarifocalLoss(SoftTargetLoss):
    """Varifocal loss (https://arxiv.org/abs/2008.13367): the target score is the IoU, which is also
    the weight of a positive.

    Args:
        negative_weight: of negatives (the paper's alpha).
        options: see `SoftTargetLoss`; the paper's gamma is `beta`.
    """

    def __init__(self, *, negative_weight: float = 0.75, **options: Any) -> None:
        super().__init__(negative_weight=negative_weight, **options)

    def loss_of_targets(self, logits: Tensor, wanted: Tensor) -> Tensor:
        return wanted * F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")

    def loss_of_background(self, logits: Tensor) -> Tensor:
        weights = self.negative_weight * logits.detach().sigmoid() ** self.beta
        return weights * F.softplus(logits)

    def sum_of_background(self, logits: Tensor, labels: Tensor) -> Tensor:
        known = torch.where((labels == BACKGROUND)[..., None], logits.float(), -torch.inf)
        return self.loss_of_background(known).sum((1, 2, 3))


class GradedLoss(VarifocalLoss):
    """The loss of LoRA-DETR (https://arxiv.org/abs/2601.09247): the target score is the grade of a
    pair, if the assigner provides grades (`TopKByScore`), otherwise the IoU.

    Args:
        scale: factor on the whole loss.
        beta: how fast the weight of negatives decreases as their score approaches 0.
        options: see `SoftTargetLoss`.
    """

    def __init__(self, *, scale: float = 0.25, beta: float = 1.5, **options: Any) -> None:
        super().__init__(beta=beta, negative_weight=scale, **options)
        self.scale = scale

    def loss_of_targets(self, logits: Tensor, wanted: Tensor) -> Tensor:
        return self.scale * F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")


class MatchabilityLoss(VarifocalLoss):
    """Matchability-aware loss of DEIM (https://arxiv.org/abs/2412.04234): the target score is a
    power of the IoU, and positives have full weight however low that is.

    Args:
        beta: exponent of the IoU, and how fast the weight of negatives decreases (the paper's
            gamma).
        negative_weight: of negatives.
        options: see `SoftTargetLoss`.
    """

    def __init__(self, *, beta: float = 1.5, negative_weight: float = 1.0, **options: Any) -> None:
        super().__init__(beta=beta, negative_weight=negative_weight, **options)

    def wanted(self, logits: Tensor, quality: Tensor) -> Tensor:
        return quality**self.beta

    def loss_of_targets(self, logits: Tensor, wanted: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
