"""The IoU-aware loss of Align-DETR."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.losses.soft_target import SoftTargetLoss

LEAST = 0.01
"""What the score of a target's class shall be at least."""


class IoUAwareLoss(SoftTargetLoss):
    """IoU-aware binary cross entropy (Align-DETR, https://arxiv.org/abs/2304.07527): the score of a
    target's class shall be s^mix * IoU^(1 - mix), s being the score that it has. No target loses
    its weight, which makes short trainings learn classes, and one box an object, sooner than the
    focal loss does.

    Args:
        mix: the part of the score in its target (the paper's alpha).
        options: `SoftTargetLoss` has them; the paper's gamma is `beta`.
    """

    def __init__(self, *, mix: float = 0.25, **options: Any) -> None:
        super().__init__(**options)
        self.mix = mix

    def wanted(self, logits: Tensor, quality: Tensor) -> Tensor:
        scores = logits.detach().sigmoid()
        return (scores**self.mix * quality ** (1 - self.mix)).clamp(min=LEAST)

    def loss_of_targets(self, logits: Tensor, wanted: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
