"""DETR's class loss, with "no object" as a class of its own."""

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.losses.class_losses import ClassLoss
from hdetr_d2.ops import SoftmaxCost
from hdetr_d2.structures import BACKGROUND, NO_LOSS, Group, Step


class SoftmaxLoss(ClassLoss):
    """Cross-entropy over the classes plus a last class "no object" (DETR,
    https://arxiv.org/abs/2005.12872), averaged over the queries with the weights of their classes.

    The mean is taken per process and micro-batch, as in the published code; these means are
    averaged.

    Args:
        no_object_weight: weight of queries without a target; the others have 1.

    Raises:
        ValueError: a negative weight.
    """

    def __init__(self, *, no_object_weight: float = 0.1) -> None:
        super().__init__()
        if no_object_weight < 0:
            raise ValueError(f"no_object_weight={no_object_weight} must not be negative.")
        self.no_object_weight = no_object_weight

    def num_outputs(self, num_classes: int) -> int:
        return num_classes + 1

    def init_bias(self, bias: Tensor) -> None:
        """Keeps PyTorch's default: a softmax over many classes starts with low scores anyway."""

    def scores(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1)[..., :-1]

    def confidence(self, logits: Tensor) -> Tensor:
        return logits.float().log_softmax(-1)[..., :-1]

    def divergence(self, logits: Tensor, scores: Tensor) -> Tensor:
        scores = scores.float()
        nothing = (1 - scores.sum(-1, keepdim=True)).clamp(min=0)  # the probability of "no object"
        scores = torch.cat([scores, nothing], -1)
        entropy = torch.special.entr(scores).sum(-1)
        return -(scores * logits.float().log_softmax(-1)).sum(-1) - entropy

    def normaliser(self, labels: Tensor, group: Group, step: Step) -> Tensor:
        total = self._weights(labels).sum((1, 2))
        # If there is nothing to learn, the loss is 0, not 0 / 0.
        return torch.where(total > 0, total, 1.0) / group.weight_of_mean(step)

    @property
    def matching_cost(self) -> SoftmaxCost:
        return SoftmaxCost()

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        quality: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        learned = labels != NO_LOSS
        logits = torch.where(learned[..., None], logits.float(), 0.0)  # padding may be NaN
        classes = torch.where(labels >= 0, labels, logits.shape[-1] - 1)
        losses = F.cross_entropy(logits.flatten(0, 2), classes.flatten(), reduction="none")
        return (losses.view_as(labels) * self._weights(labels)).sum((1, 2))

    def _weights(self, labels: Tensor) -> Tensor:
        """`Tensor[L, B, Q]` float32: the weight of each query's class, 0 for ignored queries."""
        weights = (labels >= 0).float()
        return weights.masked_fill(labels == BACKGROUND, self.no_object_weight)
