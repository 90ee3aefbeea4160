"""What class losses share whose target is how well the box fits."""

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.losses.class_losses import FocalLoss
from hdetr_d2.ops import sigmoid_focal_loss
from hdetr_d2.structures import BACKGROUND


class SoftTargetLoss(FocalLoss):
    """A sigmoid loss of every class for itself: the score of a target's class shall be a number
    that the IoU of the box with the target decides, that of all others 0. Matching has the cost of
    the focal loss.

    Args:
        beta: how fast scores that shall be 0 lose their weight on the way.
        alpha, gamma: of the matching cost.
        prior: score that a new head gives to everything.
    """

    reads_quality = True

    def __init__(
        self, *, beta: float = 2.0, alpha: float = 0.25, gamma: float = 2.0, prior: float = 0.01
    ) -> None:
        super().__init__(alpha=alpha, gamma=gamma, prior=prior)
        self.beta = beta

    @abstractmethod
    def loss_of_targets(self, logits: Tensor, quality: Tensor) -> Tensor:
        """The loss of the logits of targets' classes, whose boxes fit by the `quality`: one tensor
        of any shape from two of that shape.
        """

    def forward(self, logits: Tensor, labels: Tensor, quality: Tensor | None = None) -> Tensor:
        assert quality is not None  # as `reads_quality` says
        # With no targets it is a focal loss of negatives, whose kernel makes no dense target.
        background = labels.clamp(max=BACKGROUND)
        losses = sigmoid_focal_loss(logits, background, alpha=0.0, gamma=self.beta)
        has_target = labels >= 0
        own = logits.gather(-1, labels.clamp(min=0)[..., None]).squeeze(-1).to(losses.dtype)
        own = torch.where(has_target, own, 0.0)  # padding may be no number
        quality = torch.where(has_target, quality, 0.0).to(losses.dtype)
        negative = own.sigmoid() ** self.beta * F.softplus(own)
        change = self.loss_of_targets(own, quality) - negative
        return losses + torch.where(has_target, change, 0.0).sum((1, 2))
