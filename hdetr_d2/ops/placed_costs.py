"""Class costs of a matching that also depend on the overlap of the boxes."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.ops.costs import ClassCost, of_labels

_TINY = 1e-8
"""Keeps logarithms finite, as in the published code."""


class Overlaps(NamedTuple):
    """The overlaps of targets and queries.

    iou, giou: `Tensor[P, G, Q]`. is_target: `Tensor[P, G]` bool, False for padding, whose values
    are arbitrary.
    """

    iou: Tensor
    giou: Tensor
    is_target: Tensor


class PlacedCost(ABC):
    """A class cost that also depends on the overlap of the boxes; computed in PyTorch's
    operations.
    """

    @abstractmethod
    def __call__(self, logits: Tensor, labels: Tensor, overlaps: Overlaps) -> Tensor:
        """Like `ClassCost.__call__`, with the overlaps of the same pairs."""


AnyClassCost: TypeAlias = ClassCost | PlacedCost
"""The class costs that `matching_cost` accepts."""


@dataclass(frozen=True)
class HighOrderCost(PlacedCost):
    """Minus the label's probability times a power of the IoU (Rank-DETR,
    https://arxiv.org/abs/2310.08854).

    Args:
        order: exponent of the IoU.
    """

    order: float = 4.0

    def __call__(self, logits: Tensor, labels: Tensor, overlaps: Overlaps) -> Tensor:
        return -of_labels(logits, labels).float().sigmoid() * overlaps.iou**self.order


@dataclass(frozen=True)
class PositionCost(PlacedCost):
    """A `FocalCost` of the label's probability times a power of (GIoU + 1) / 2, rescaled so that
    the best of an image is 1 (Stable-DINO, https://arxiv.org/abs/2304.04742).

    Args:
        alpha, gamma: see `FocalCost`.
        power: exponent, the influence of the position.
    """

    alpha: float = 0.25
    gamma: float = 2.0
    power: float = 0.5

    def __call__(self, logits: Tensor, labels: Tensor, overlaps: Overlaps) -> Tensor:
        fit = (overlaps.giou + 1) / 2
        best = torch.where(overlaps.is_target[..., None], fit, 0.0).flatten(1)
        best = F.pad(best, (0, 1)).amax(1)[:, None, None]  # there may be no pairs
        fit = fit * (1 / (best + _TINY)).clamp(min=1)
        p = of_labels(logits, labels).float().sigmoid() * fit**self.power
        positive = -self.alpha * (1 - p) ** self.gamma * (p + _TINY).log()
        return positive + (1 - self.alpha) * p**self.gamma * (1 - p + _TINY).log()
