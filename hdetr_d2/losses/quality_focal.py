"""The quality focal loss and two variants."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.losses.class_losses import Placed
from hdetr_d2.losses.soft_target import SoftTargetLoss
from hdetr_d2.ops import AnyClassCost, PositionCost

_TINY = 1e-8


class QualityFocalLoss(SoftTargetLoss):
    """Quality focal loss (https://arxiv.org/abs/2006.04388): the target score is the IoU; positives
    are down-weighted near their target just like negatives.

    Args:
        positive_weight: weight of the scores of target classes.
        options: see `SoftTargetLoss`.
    """

    def __init__(self, *, positive_weight: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.positive_weight = positive_weight

    def loss_of_targets(self, logits: Tensor, wanted: Tensor) -> Tensor:
        distance = (wanted - logits.sigmoid()).abs()
        entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return self.positive_weight * distance**self.beta * entropy


class GIoUAwareLoss(QualityFocalLoss):
    """The loss of Rank-DETR (https://arxiv.org/abs/2310.08854): the target score is (GIoU + 1) / 2.

    Args:
        options: see `QualityFocalLoss`.
    """

    def __init__(
        self, *, positive_weight: float = 0.25, negative_weight: float = 0.75, **options: Any
    ) -> None:
        super().__init__(
            positive_weight=positive_weight, negative_weight=negative_weight, **options
        )

    def quality(self, placed: Placed) -> Tensor:
        return (placed.giou + 1) / 2


class PositionSupervisedLoss(QualityFocalLoss):
    """The loss of Stable-DINO (https://arxiv.org/abs/2304.04742): the target score is a power of
    the IoU, rescaled so that the best query of an image gets 1. The matching cost is modulated by
    position in the same way.

    Args:
        power: of the IoU.
        cost_power: exponent of (GIoU + 1) / 2 in the matching cost; 0 keeps the focal cost.
        options: see `QualityFocalLoss`.
    """

    compares_queries = True

    def __init__(
        self,
        *,
        power: float = 2.0,
        cost_power: float = 0.5,
        positive_weight: float = 0.25,
        negative_weight: float = 0.75,
        **options: Any,
    ) -> None:
        super().__init__(
            positive_weight=positive_weight, negative_weight=negative_weight, **options
        )
        self.power = power
        self.cost_power = cost_power

    @property
    def matching_cost(self) -> AnyClassCost:
        if not self.cost_power:
            return super().matching_cost
        return PositionCost(self.alpha, self.gamma, self.cost_power)

    def wanted(self, logits: Tensor, quality: Tensor) -> Tensor:
        stretched = quality**self.power
        best = F.pad(stretched, (0, 1)).amax(-1, keepdim=True)  # there may be no queries
        return (stretched * (1 / (best + _TINY)).clamp(min=1)).clamp(max=1)
