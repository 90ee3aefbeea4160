"""The quality focal loss."""

import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.losses.soft_target import SoftTargetLoss


class QualityFocalLoss(SoftTargetLoss):
    """Quality focal loss (https://arxiv.org/abs/2006.04388): a score shall be the IoU, and loses
    its weight on the way there as fast as those that shall be 0.
    """

    def loss_of_targets(self, logits: Tensor, quality: Tensor) -> Tensor:
        distance = (quality - logits.sigmoid()).abs()
        entropy = F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
        return distance**self.beta * entropy
