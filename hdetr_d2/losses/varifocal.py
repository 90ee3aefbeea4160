"""Losses that weigh a score which shall be low by how high it is, a weight without gradient."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.losses.soft_target import SoftTargetLoss
from hdetr_d2.structures import BACKGROUND


class VarifocalLoss(SoftTargetLoss):
    """Varifocal loss (https://arxiv.org/abs/2008.13367): a score shall be the IoU, and counts as
    much as that is.

    Args:
        negative_weight: of scores that shall be 0 (the paper's alpha).
        options: those of `SoftTargetLoss`; the paper's gamma is `beta`.
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
    """The loss of LoRA-DETR (https://arxiv.org/abs/2601.09247): a score shall be how good the pair
    is, which an assigner with grades says (`TopKByScore`); where none does, it is the IoU.

    Args:
        scale: of the whole.
        beta: how fast scores that shall be 0 lose their weight.
        options: those of `SoftTargetLoss`.
    """

    def __init__(self, *, scale: float = 0.25, beta: float = 1.5, **options: Any) -> None:
        super().__init__(beta=beta, negative_weight=scale, **options)
        self.scale = scale

    def loss_of_targets(self, logits: Tensor, wanted: Tensor) -> Tensor:
        return self.scale * F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")


class MatchabilityLoss(VarifocalLoss):
    """Matchability-aware loss of DEIM (https://arxiv.org/abs/2412.04234): a score shall be a power
    of the IoU, and counts in full however low that is.

    Args:
        beta: the power of the IoU, and how fast scores that shall be 0 lose their weight (the
            paper's gamma).
        negative_weight: of the latter.
        options: those of `SoftTargetLoss`.
    """

    def __init__(self, *, beta: float = 1.5, negative_weight: float = 1.0, **options: Any) -> None:
        super().__init__(beta=beta, negative_weight=negative_weight, **options)

    def wanted(self, logits: Tensor, quality: Tensor) -> Tensor:
        return quality**self.beta

    def loss_of_targets(self, logits: Tensor, wanted: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
