"""The ground truth in the form needed by heads with anchors."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from hdetr_d2.ops import box_cxcywh_to_xyxy
from hdetr_d2.structures import Assignment, Targets
from hdetr_d2.utils.device import to_device


@dataclass
class PixelTargets:
    """The ground truth of a batch in pixels of the model's input.

    labels: `Tensor[B, G]` int64. boxes: `Tensor[B, G, 4]` xyxy. valid: `Tensor[B, G]` bool, False
    for padding.
    """

    labels: Tensor
    boxes: Tensor
    valid: Tensor

    @classmethod
    def of(cls, targets: Targets, sizes: Sequence[tuple[int, int]]) -> "PixelTargets":
        """For images with `sizes` (h, w) without padding."""
        scale = to_device([(w, h, w, h) for h, w in sizes], targets.boxes)
        boxes = box_cxcywh_to_xyxy(targets.boxes) * scale[:, None]
        return cls(targets.labels, boxes, targets.valid)

    def labels_of(self, assignment: Assignment) -> Tensor:
        """The classes `Tensor[B, N]` of an assignment `Tensor[B, N]`; `BACKGROUND` and `NO_LOSS`
        are kept.
        """
        labels = self.labels.gather(1, assignment.clamp(min=0))
        return torch.where(assignment >= 0, labels, assignment)

    def boxes_of(self, assignment: Assignment, otherwise: Tensor) -> Tensor:
        """The boxes `Tensor[B, N, 4]` of an assignment `Tensor[B, N]`; where there is no target,
        those of `otherwise`, which is broadcast.
        """
        index = assignment.clamp(min=0)[..., None].expand(-1, -1, 4)
        return torch.where(assignment[..., None] >= 0, self.boxes.gather(1, index), otherwise)
