"""A class loss whose target is how well the box fits."""

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.losses.class_losses import FocalLoss
from hdetr_d2.ops import sigmoid_focal_loss
from hdetr_d2.structures import BACKGROUND


class QualityFocalLoss(FocalLoss):
    """Quality focal loss (https://arxiv.org/abs/2006.04388): a sigmoid loss of every class for
    itself, in which the score of a target's class shall be the IoU of the box with the target, that
    of all others 0. Matching has the cost of the focal loss.

    Args:
        beta: how fast scores lose their weight on the way to their target.
        alpha, gamma: of the matching cost.
        prior: score that a new head gives to everything.
    """

    reads_quality = True

    def __init__(
        self, *, beta: float = 2.0, alpha: float = 0.25, gamma: float = 2.0, prior: float = 0.01
    ) -> None:
        super().__init__(alpha=alpha, gamma=gamma, prior=prior)
        self.beta = beta

    def forward(self, logits: Tensor, labels: Tensor, quality: Tensor | None = None) -> Tensor:
        assert quality is not None  # as `reads_quality` says
        # With the target 0 it is a focal loss of negatives, whose kernel makes no dense target.
        background = labels.clamp(max=BACKGROUND)
        losses = sigmoid_focal_loss(logits, background, alpha=0.0, gamma=self.beta)
        has_target = labels >= 0
        own = logits.gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1).to(losses.dtype)
        own = torch.where(has_target, own, 0.0)  # padding may be no number
        wanted = torch.where(has_target, quality, 0.0).to(losses.dtype)
        change = self._loss(own, wanted) - self._loss(own, torch.zeros_like(own))
        return losses + torch.where(has_target, change, 0.0).sum((1, 2))

    def _loss(self, logits: Tensor, wanted: Tensor) -> Tensor:
        """Of single logits, whose scores shall be `wanted`."""
        distance = (wanted - logits.sigmoid()).abs()
        entropy = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return distance**self.beta * entropy
