"""What a model learns about classes, in one object: the loss, the matching cost and the scores that
fit it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.ops import AnyClassCost, FocalCost, sigmoid_focal_loss
from hdetr_d2.structures import Group, Step


class Placed(Protocol):
    """How boxes lie upon their targets, `Tensor[...]` each, without gradient; any number where a
    box has none. Computed when it is asked for.
    """

    @property
    def iou(self) -> Tensor: ...
    @property
    def giou(self) -> Tensor: ...


class ClassLoss(nn.Module, ABC):
    """A classification loss; matcher, criterion, heads and post-processing all ask it.

    compares_queries: whether what one query learns depends on the others of its image.
    """

    compares_queries: ClassVar[bool] = False

    @abstractmethod
    def num_outputs(self, num_classes: int) -> int:
        """Channels of a class head for `num_classes` classes."""

    @abstractmethod
    def init_bias(self, bias: Tensor) -> None:
        """Sets the bias `Tensor[num_outputs]` of a new class head, in place; may leave it alone."""

    @abstractmethod
    def scores(self, logits: Tensor) -> Tensor:
        """`Tensor[..., num_outputs]` logits to `Tensor[..., num_classes]` scores in [0, 1]."""

    def confidence(self, logits: Tensor) -> Tensor:
        """`Tensor[..., num_classes]` in the order of the scores, without the rounding that makes
        high scores equal.
        """
        return logits

    def normaliser(self, labels: Tensor, group: Group, step: Step) -> Tensor | None:
        """What the loss of each layer is divided by, `Tensor[L]`: of a loss that is a mean, see
        `Group.weight_of_mean`. None for what those of the boxes are.

        Args:
            labels: `Tensor[L, B, Q]` as in `forward`.
            group: that the labels are of.
            step: that the images are of.
        """
        return None

    @property
    @abstractmethod
    def matching_cost(self) -> AnyClassCost:
        """The class cost of a matching whose queries learn by this loss."""

    def quality(self, placed: Placed) -> Tensor | None:
        """How well boxes fit, `Tensor[...]`, for a `forward` that wants to know; None where it does
        not.
        """
        return None

    def divergence(self, logits: Tensor, scores: Tensor) -> Tensor:
        """How far a query is from giving the classes certain scores, of all of them together: the
        Kullback-Leibler divergence, `Tensor[...]` float32, 0 where it gives them.

        Args:
            logits: `Tensor[..., num_outputs]`.
            scores: `Tensor[..., num_classes]` in [0, 1], without gradient; those of every layer
                where they lack the first dimension of the logits.

        Raises:
            ValueError: a loss that has no form of it.
        """
        raise ValueError(f"{type(self).__name__} cannot learn the scores of another network.")

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
            labels: `Tensor[L, B, Q]`, `BACKGROUND` for none, `NO_LOSS` where no loss is wanted.
            quality: `Tensor[L, B, Q]`, `quality` of a query's box and its target, without gradient;
                anything where there is no target.
            weights: `Tensor[L, B, Q]`, what the score that a query shall have for its label is
                multiplied by (the ranks of Align-DETR), 0 where there is no target; None for 1.
                Of no use to losses whose labels are labels and no scores.

        Returns:
            `Tensor[L]` float32.
        """


class FocalLoss(ClassLoss):
    """Sigmoid focal loss (https://arxiv.org/abs/1708.02002), every class for itself, no background
    class.

    Args:
        alpha: weight of positives; negatives have 1 - alpha.
        gamma: how fast easy examples lose their weight.
        prior: score that a new head gives to everything.
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
    """Makes `own` the `class_loss` of all modules in `parts` that have one: of one node in a config
    each of them was built its own, and one that learns would have learned several times.

    Raises:
        ValueError: a module that was built for a class loss of another kind.
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
