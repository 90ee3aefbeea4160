"""The terms of a matching cost."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from hdetr_d2.ops.focal import focal_loss


@dataclass(frozen=True)
class CostWeights:
    """Weights of the class cost, of the L1 distance of cxcywh boxes, and of minus their GIoU."""

    classes: float
    bbox: float
    giou: float


class ClassCost(Protocol):
    """The class term of `matching_cost`. Any function of this form can be used."""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """`Tensor[P, Q, K]` and `Tensor[P, G]` int64 in [0, K) to `Tensor[P, G, Q]`."""


@dataclass(frozen=True)
class FocalCost:
    """The sigmoid focal loss of the label's logit as a positive, minus that as a negative
    (https://arxiv.org/abs/2010.04159).

    Args:
        alpha: weight of positives; negatives have 1 - alpha.
        gamma: how fast the weight of easy examples decreases, at least 0.
    """

    alpha: float = 0.25
    gamma: float = 2.0

    def __post_init__(self) -> None:
        if not self.gamma >= 0:
            raise ValueError(f"The gamma of a focal loss is at least 0, not {self.gamma}.")

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        picked = of_labels(logits, labels).float()
        positive = focal_loss(picked, self.alpha, self.gamma)
        return positive - focal_loss(-picked, 1 - self.alpha, self.gamma)


@dataclass(frozen=True)
class SoftmaxCost:
    """Minus the label's softmax probability over all logits (https://arxiv.org/abs/2005.12872)."""

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        return -of_labels(logits.float().softmax(-1), labels)


def of_labels(numbers: Tensor, labels: Tensor) -> Tensor:
    """Selects the columns of the labels: `Tensor[P, Q, K]` and `Tensor[P, G]` to `Tensor[P, G,
    Q]`.
    """
    index = labels[:, None, :].expand(-1, numbers.shape[1], -1)
    return numbers.gather(-1, index).mT
