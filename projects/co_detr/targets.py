"""The ground truth as heads with anchors see it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hdetr_d2.ops import box_cxcywh_to_xyxy
from hdetr_d2.structures import Assignment, Targets
from hdetr_d2.utils.device import to_device


@dataclass
class PixelTargets:
    """The ground truth of a batch in pixels of the images as they are fed.

    labels: `Tensor[B, G]` int64. boxes: `Tensor[B, G, 4]` xyxy. valid: `Tensor[B, G]` bool; the
    other rows are padding.
    """

    labels: Tensor
    boxes: Tensor
    valid: Tensor

    @classmethod
    def of(cls, targets: Targets, sizes: Sequence[tuple[int, int]]) -> "PixelTargets":
        """Those of images with `sizes` (h, w) without padding."""
        scale = to_device([(w, h, w, h) for h, w in sizes], targets.boxes)
        boxes = box_cxcywh_to_xyxy(targets.boxes) * scale[:, None]
        return cls(targets.labels, boxes, targets.valid)

    def labels_of(self, assignment: Assignment) -> Tensor:
        """The classes `Tensor[B, N]` of an assignment `Tensor[B, N]`; `BACKGROUND` and `NO_LOSS`
        stay.
        """
        labels = self.labels.gather(1, assignment.clamp(min=0))
        return torch.where(assignment >= 0, labels, assignment)

    def boxes_of(self, assignment: Assignment, otherwise: Tensor) -> Tensor:
        """The boxes `Tensor[B, N, 4]` of an assignment `Tensor[B, N]`, and those of `otherwise`,
        which broadcasts, where there is no target.
        """
        index = assignment.clamp(min=0)[..., None].expand(-1, -1, 4)
        return torch.where(assignment[..., None] >= 0, self.boxes.gather(1, index), otherwise)
