"""The quality focal loss, and two like it."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.losses.class_losses import Placed
from hdetr_d2.losses.soft_target import SoftTargetLoss
from hdetr_d2.ops import AnyClassCost, PositionCost

_TINY = 1e-8


class QualityFocalLoss(SoftTargetLoss):
    """Quality focal loss (https://arxiv.org/abs/2006.04388): a score shall be the IoU, and loses
    its weight on the way there as fast as those that shall be 0.

    Args:
        positive_weight: of the scores of targets' classes.
        options: those of `SoftTargetLoss`.
    """

    def __init__(self, *, positive_weight: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.positive_weight = positive_weight

    def loss_of_targets(self, logits: Tensor, wanted: Tensor) -> Tensor:
        distance = (wanted - logits.sigmoid()).abs()
        entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return self.positive_weight * distance**self.beta * entropy


class GIoUAwareLoss(QualityFocalLoss):
    """The loss of Rank-DETR (https://arxiv.org/abs/2310.08854): a score shall be (GIoU + 1) / 2.

    Args:
        options: those of `QualityFocalLoss`.
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
    """The loss of Stable-DINO (https://arxiv.org/abs/2304.04742): a score shall be a power of the
    IoU, stretched so that the best of an image's queries shall have 1. The matching cost looks at
    the place in the same way.

    Args:
        power: of the IoU.
        cost_power: of (GIoU + 1) / 2 in the matching cost; 0 leaves the focal cost.
        options: those of `QualityFocalLoss`.
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
        best = F.pad(stretched, (0, 1)).amax(-1, keepdim=True)  # there may be no query
        return (stretched * (1 / (best + _TINY)).clamp(min=1)).clamp(max=1)
