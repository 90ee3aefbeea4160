"""What the first stage of Faster R-CNN hands over to the second."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms


class Proposals(NamedTuple):
    """boxes: `Tensor[B, P, 4]` xyxy in pixels, the best first, without a gradient. valid:
    `Tensor[B, P]` bool; the others are padding.
    """

    boxes: Tensor
    valid: Tensor


class ProposalSelection(NamedTuple):
    """Which boxes become proposals: the best of every level, of which those of a level that overlap
    suppress each other.

    per_level: so many go on to the suppression. most: P, what is left of all levels at most. iou:
    from which on boxes overlap.
    """

    per_level: int
    most: int = 1000
    iou: float = 0.7

    def suppress(self, boxes: Tensor, scores: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """What is left of the boxes `Tensor[n, 4]` of an image, `Tensor[P, 4]`, and which of these
        rows are real. A score of minus infinity is that of no box.
        """
        kept = batched_nms(boxes, scores, level, self.iou)[: self.most]
        missing = self.most - len(kept)
        real = F.pad(scores[kept].isfinite(), (0, missing))
        return F.pad(boxes[kept], (0, 0, 0, missing)), real
