"""The IoU-aware loss of Align-DETR."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.losses.soft_target import SoftTargetLoss

LEAST = 0.01
"""Minimum target score for a target's class."""


class IoUAwareLoss(SoftTargetLoss):
    """IoU-aware binary cross entropy (Align-DETR, https://arxiv.org/abs/2304.07527): the target
    score is s^mix * IoU^(1 - mix), where s is the current score. All targets keep their full
    weight, so that short trainings learn classes, and to give one box per object, sooner than with
    the focal loss.

    Args:
        mix: exponent of the current score (the paper's alpha).
        options: see `SoftTargetLoss`; the paper's gamma is `beta`.
    """

    def __init__(self, *, mix: float = 0.25, **options: Any) -> None:
        super().__init__(**options)
        self.mix = mix

    def wanted(self, logits: Tensor, quality: Tensor) -> Tensor:
        scores = logits.detach().sigmoid()
        return (scores**self.mix * quality ** (1 - self.mix)).clamp(min=LEAST)

    def loss_of_targets(self, logits: Tensor, wanted: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
