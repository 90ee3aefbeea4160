"""Proposals of Faster R-CNN's first stage."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms


class Proposals(NamedTuple):
    """boxes: `Tensor[B, P, 4]` xyxy in pixels, best first, without gradient. valid: `Tensor[B, P]`
    bool, False for padding.
    """

    boxes: Tensor
    valid: Tensor


class ProposalSelection(NamedTuple):
    """Selects proposals: the best boxes of every level, after non-maximum suppression within the
    level.

    per_level: number of boxes that enter the suppression. most: P, the maximum over all levels.
    iou: minimum overlap for suppression.
    """

    per_level: int
    most: int = 1000
    iou: float = 0.7

    def suppress(self, boxes: Tensor, scores: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """The remaining boxes of `Tensor[n, 4]` of an image, `Tensor[P, 4]`, and which rows are
        real. A score of minus infinity marks padding.
        """
        kept = batched_nms(boxes, scores, level, self.iou)[: self.most]
        missing = self.most - len(kept)
        real = F.pad(scores[kept].isfinite(), (0, missing))
        return F.pad(boxes[kept], (0, 0, 0, missing)), real
