"""The interface of class losses: one object provides the loss and the matching cost and scores that
go with it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.errors import MisfitError
from hdetr_d2.ops import AnyClassCost, FocalCost, sigmoid_focal_loss
from hdetr_d2.structures import Group, Step


class Placed(Protocol):
    """How well boxes fit their targets, `Tensor[...]` each, without gradient; arbitrary where a box
    has no target. Computed on access.
    """

    @property
    def iou(self) -> Tensor: ...
    @property
    def giou(self) -> Tensor: ...


class ClassLoss(nn.Module, ABC):
    """A classification loss; used by the matcher, the criterion, the heads and the post-processing.

    compares_queries: whether the loss of a query depends on the other queries of its image.
    """

    compares_queries: ClassVar[bool] = False

    @abstractmethod
    def num_outputs(self, num_classes: int) -> int:
        """Channels of a class head for `num_classes` classes."""

    @abstractmethod
    def init_bias(self, bias: Tensor) -> None:
        """Initialises the bias `Tensor[num_outputs]` of a new class head in place; may leave it
        unchanged.
        """

    @abstractmethod
    def scores(self, logits: Tensor) -> Tensor:
        """`Tensor[..., num_outputs]` logits to `Tensor[..., num_classes]` scores in [0, 1]."""

    def confidence(self, logits: Tensor) -> Tensor:
        """`Tensor[..., num_classes]` values in the order of the scores, but without the rounding
        that makes high scores equal.
        """
        return logits

    def normaliser(self, labels: Tensor, group: Group, step: Step) -> Tensor | None:
        """The divisor of the loss of each layer, `Tensor[L]`; for a loss that is a mean, see
        `Group.weight_of_mean`. None uses the divisor of the box losses.

        Args:
            labels: `Tensor[L, B, Q]` as in `forward`.
            group: that the labels belong to.
            step: the training step.
        """
        return None

    @property
    @abstractmethod
    def matching_cost(self) -> AnyClassCost:
        """The matching cost of the class, for queries trained with this loss."""

    def quality(self, placed: Placed) -> Tensor | None:
        """The quality of boxes, `Tensor[...]`, if `forward` uses it; otherwise None."""
        return None

    def divergence(self, logits: Tensor, scores: Tensor) -> Tensor:
        """The Kullback-Leibler divergence of the predictions from given scores, summed over all
        classes: `Tensor[...]` float32, 0 where they agree.

        Args:
            logits: `Tensor[..., num_outputs]`.
            scores: `Tensor[..., num_classes]` in [0, 1], without gradient; shared by all layers if
                they lack the first dimension of the logits.

        Raises:
            MisfitError: the loss does not define a divergence.
        """
        raise MisfitError(f"{type(self).__name__} cannot learn the scores of another network.")

    @abstractmethod
    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        quality: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """The loss of each layer, summed over its queries.

        Args:
            logits: `Tensor[L, B, Q, num_outputs]`.
            labels: `Tensor[L, B, Q]`, `BACKGROUND` for queries without a target, `NO_LOSS` for
                queries to be ignored.
            quality: `Tensor[L, B, Q]`, the `quality` of a query's box and its target, without
                gradient; arbitrary where there is no target.
            weights: `Tensor[L, B, Q]`, factors on the target scores (the ranks of Align-DETR), 0
                where there is no target; None is 1. Ignored by losses whose targets are labels
                instead of scores.

        Returns:
            `Tensor[L]` float32.
        """


class FocalLoss(ClassLoss):
    """Sigmoid focal loss (https://arxiv.org/abs/1708.02002): classes are independent, and there is
    no background class.

    Args:
        alpha: weight of positives; negatives have 1 - alpha.
        gamma: how fast the weight of easy examples decreases.
        prior: initial score of a new head.
    """

    def __init__(self, *, alpha: float = 0.25, gamma: float = 2.0, prior: float = 0.01) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.prior = prior

    def num_outputs(self, num_classes: int) -> int:
        return num_classes

    def init_bias(self, bias: Tensor) -> None:
        nn.init.constant_(bias, -math.log((1 - self.prior) / self.prior))

    def scores(self, logits: Tensor) -> Tensor:
        return logits.sigmoid()

    def divergence(self, logits: Tensor, scores: Tensor) -> Tensor:
        logits, scores = logits.float(), scores.float()
        wanted = scores.expand_as(logits)
        cross = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        entropy = torch.special.entr(scores) + torch.special.entr(1 - scores)
        return cross.sum(-1) - entropy.sum(-1)

    @property
    def matching_cost(self) -> AnyClassCost:
        return FocalCost(self.alpha, self.gamma)

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        quality: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        return sigmoid_focal_loss(logits, labels, self.alpha, self.gamma)


def share_class_loss(own: ClassLoss, parts: Iterable[nn.Module]) -> None:
    """Makes `own` the `class_loss` of all modules in `parts` that have one: a config node is
    instantiated once per module, so that a loss with parameters would exist several times.

    Raises:
        ValueError: a module was built with a class loss of another type.
    """
    for module in (module for part in parts for module in part.modules()):
        other = getattr(module, "class_loss", None)
        if not isinstance(other, ClassLoss):
            continue
        if type(other) is not type(own):
            raise ValueError(
                f"{type(module).__name__} was built for a {type(other).__name__}, but the "
                f"criterion has a {type(own).__name__}: both take model.criterion.class_loss."
            )
        module.class_loss = own
