"""DETR's class loss, in which being no object is a class of its own."""

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.losses.class_losses import ClassLoss
from hdetr_d2.ops import SoftmaxCost
from hdetr_d2.structures import BACKGROUND, NO_LOSS, Group, Step


class SoftmaxLoss(ClassLoss):
    """Cross-entropy over the classes and, as the last one, "no object" (DETR,
    https://arxiv.org/abs/2005.12872): a mean over the queries, weighted by their classes.

    The mean is that of one process and one micro-batch, as published; several are averaged.

    Args:
        no_object_weight: of queries without a target, beside 1 of the others.

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
        """PyTorch's own values: a softmax over many classes starts low by itself."""

    def scores(self, logits: Tensor) -> Tensor:
        return logits.softmax(-1)[..., :-1]

    def confidence(self, logits: Tensor) -> Tensor:
        return logits.float().log_softmax(-1)[..., :-1]

    def divergence(self, logits: Tensor, scores: Tensor) -> Tensor:
        scores = scores.float()
        nothing = (1 - scores.sum(-1, keepdim=True)).clamp(min=0)  # what "no object" has
        scores = torch.cat([scores, nothing], -1)
        entropy = torch.special.entr(scores).sum(-1)
        return -(scores * logits.float().log_softmax(-1)).sum(-1) - entropy

    def normaliser(self, labels: Tensor, group: Group, step: Step) -> Tensor:
        total = self._weights(labels).sum((1, 2))
        # Where nothing is to be learned the loss is 0, and must not become 0 / 0.
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
        logits = torch.where(learned[..., None], logits.float(), 0.0)  # padding may be no number
        classes = torch.where(labels >= 0, labels, logits.shape[-1] - 1)
        losses = F.cross_entropy(logits.flatten(0, 2), classes.flatten(), reduction="none")
        return (losses.view_as(labels) * self._weights(labels)).sum((1, 2))

    def _weights(self, labels: Tensor) -> Tensor:
        """`Tensor[L, B, Q]` float32: that of each query's class, 0 without a loss."""
        weights = (labels >= 0).float()
        return weights.masked_fill(labels == BACKGROUND, self.no_object_weight)
