"""Assignment by the largest IoU (Faster R-CNN, https://arxiv.org/abs/1506.01497)."""

import torch
from torch import Tensor

from hdetr_d2.ops import box_iou
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import BACKGROUND, NO_LOSS, Assignment

_TARGETS_AT_ONCE = 16
"""Number of anchor-target pairs in memory at once: there can be 10^8 in total."""


class MaxIoU:
    """A box learns the target with the largest IoU.

    Args:
        positive: minimum IoU for that.
        negative: boxes with less than this are background; between both limits, boxes have no loss.
        rescue: if a target's largest IoU with any box reaches this value, the boxes with that IoU
            learn the target, whatever they would learn otherwise; None disables this. A target that
            overlaps no box never has any.
    """

    def __init__(self, *, positive: float, negative: float, rescue: float | None = None) -> None:
        self.positive = positive
        self.negative = negative
        self.rescue = rescue

    def __call__(self, boxes: Tensor, valid: Tensor, targets: PixelTargets) -> Assignment:
        """The assignment `Tensor[B, N]`.

        Args:
            boxes: `Tensor[N, 4]` or `Tensor[B, N, 4]` xyxy in pixels.
            valid: `Tensor[B, N]` bool; other boxes have `NO_LOSS`.
            targets: of the B images.
        """
        best = boxes.new_full(valid.shape, -1.0)
        nearest = torch.full_like(best, BACKGROUND, dtype=torch.int64)
        rescued = nearest
        for first in range(0, targets.boxes.shape[1], _TARGETS_AT_ONCE):
            some = slice(first, first + _TARGETS_AT_ONCE)
            iou = box_iou(boxes[..., None, :, :], targets.boxes[:, some, None])  # [B, some, N]
            iou = iou.masked_fill(~(valid[:, None] & targets.valid[:, some, None]), -1.0)
            value, index = iou.max(1)
            nearest = torch.where(value > best, index + first, nearest)
            best = torch.maximum(best, value)
            if self.rescue is not None:
                rescued = torch.maximum(rescued, _rescued(iou, self.rescue, first))
        answer = torch.where(best < self.negative, BACKGROUND, NO_LOSS)
        answer = torch.where(best >= self.positive, nearest, answer)
        answer = torch.where(rescued >= 0, rescued, answer)
        return torch.where(valid, answer, NO_LOSS)


def _rescued(iou: Tensor, least: float, first: int) -> Tensor:
    """For each box, the last target, counted from `first`, whose largest IoU in `Tensor[B, G, N]`
    it has; `BACKGROUND` if there is none.
    """
    largest = iou.amax(2, keepdim=True)
    has_it = (iou == largest) & (largest >= least) & (largest > 0)
    numbers = torch.arange(first, first + iou.shape[1], device=iou.device)[:, None]
    return torch.where(has_it, numbers, BACKGROUND).amax(1)
