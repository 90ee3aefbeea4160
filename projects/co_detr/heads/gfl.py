"""Generalised focal loss (GFL, https://arxiv.org/abs/2006.04388)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from hdetr_d2.losses import QualityFocalLoss
from hdetr_d2.ops import box_iou
from hdetr_d2.projects.co_detr.anchors import Anchors
from hdetr_d2.projects.co_detr.assigners import assign_by_statistics
from hdetr_d2.projects.co_detr.boxes import boxes_around, side_distances
from hdetr_d2.projects.co_detr.heads.dense import DenseHead
from hdetr_d2.projects.co_detr.heads.predictor import DensePredictions
from hdetr_d2.projects.co_detr.losses import (
    at_least_one,
    distribution_focal_loss,
    giou_loss,
    mean_positives,
)
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import Assignment

_ROOM = 0.1
"""Distances stay below the largest number by this much, so that both neighbours exist."""


class GFLHead(DenseHead):
    """Anchors and assignment of ATSS; the class score learns the IoU of the box, and each side of a
    box is a distribution over integer distances. Losses: "class", "giou" and "distribution".

    Args:
        farthest: the largest distance between a side and the anchor's centre, in strides.
        options: arguments of `DenseHead`.
    """

    def __init__(self, *, farthest: int = 16, **options: Any) -> None:
        super().__init__(**options, box_outputs=4 * (farthest + 1), quality=False)
        self.farthest = farthest
        self.quality_loss = QualityFocalLoss()

    def decode(self, raw: Tensor, anchors: Anchors) -> Tensor:
        shares = raw.unflatten(-1, (4, -1)).softmax(-1)
        numbers = torch.arange(self.farthest + 1.0, device=raw.device)
        distances = (shares * numbers).sum(-1)  # autocast would round a matrix product
        return boxes_around(anchors.centres, distances * anchors.strides[:, None])

    def assign(
        self, predictions: DensePredictions, anchors: Anchors, targets: PixelTargets
    ) -> Assignment:
        return assign_by_statistics(anchors, targets)

    def losses(
        self,
        predictions: DensePredictions,
        anchors: Anchors,
        assignment: Assignment,
        targets: PixelTargets,
    ) -> Mapping[str, Tensor]:
        positive, labels = assignment >= 0, targets.labels_of(assignment)
        boxes = self.decode(predictions.boxes, anchors).where(positive[..., None], anchors.boxes)
        wanted = targets.boxes_of(assignment, anchors.boxes)
        quality = box_iou(boxes.detach(), wanted)
        # Boxes are weighted by their predicted score.
        weights = predictions.logits.detach().sigmoid().amax(-1) * positive
        total = at_least_one(weights.sum())
        (classes,) = self.quality_loss(predictions.logits[None], labels[None], quality[None])
        sides = self._distribution(predictions.boxes, anchors, wanted).mean(-1)
        return {
            "class": classes / mean_positives(assignment),
            "giou": 2.0 * giou_loss(boxes, wanted, weights) / total,
            "distribution": 0.25 * (sides * weights).sum() / total,
        }

    def _distribution(self, raw: Tensor, anchors: Anchors, wanted: Tensor) -> Tensor:
        """The loss of each side of the boxes, `Tensor[B, N, 4]`."""
        distances = side_distances(anchors.centres, wanted) / anchors.strides[:, None]
        distances = distances.clamp(0, self.farthest - _ROOM)
        return distribution_focal_loss(raw.unflatten(-1, (4, -1)), distances)
