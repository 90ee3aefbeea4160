"""RetinaNet (https://arxiv.org/abs/1708.02002)."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from hdetr_d2.projects.co_detr.anchors import Anchors, nine_anchors
from hdetr_d2.projects.co_detr.assigners import MaxIoU
from hdetr_d2.projects.co_detr.box_coder import DeltaCoder
from hdetr_d2.projects.co_detr.detection import Suppression
from hdetr_d2.projects.co_detr.draw import Draw
from hdetr_d2.projects.co_detr.heads.base import Candidates
from hdetr_d2.projects.co_detr.heads.dense import DenseHead
from hdetr_d2.projects.co_detr.heads.predictor import DensePredictions
from hdetr_d2.projects.co_detr.losses import focal_loss, mean_positives
from hdetr_d2.projects.co_detr.pyramid import Pyramid
from hdetr_d2.projects.co_detr.sampling import sample
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import Assignment


class RetinaNetHead(DenseHead):
    """Nine anchors per cell, assigned to the target with the largest IoU. Losses: "class" and
    "bbox", the L1 distance of the deltas.

    Args:
        max_candidates: per image, at most half of them with a target, drawn at random: the features
            of all nine anchors of all cells would take most of a step's memory. Nothing is lost if
            half of this number is the maximum number of queries.
        options: arguments of `DenseHead`.
    """

    shapes = nine_anchors()
    suppression = Suppression(iou=0.5)
    coder = DeltaCoder()
    assigner = MaxIoU(positive=0.5, negative=0.4, rescue=0.0)

    def __init__(self, *, max_candidates: int = 600, **options: Any) -> None:
        outputs = dict(num_anchors=len(self.shapes), quality=False, norm_groups=None)
        super().__init__(**options, **outputs)
        self.max_candidates = max_candidates

    def decode(self, raw: Tensor, anchors: Anchors) -> Tensor:
        return self.coder.decode(anchors.boxes, raw)

    def assign(
        self, predictions: DensePredictions, anchors: Anchors, targets: PixelTargets
    ) -> Assignment:
        return self.assigner(anchors.boxes, anchors.valid, targets)

    def losses(
        self,
        predictions: DensePredictions,
        anchors: Anchors,
        assignment: Assignment,
        targets: PixelTargets,
    ) -> Mapping[str, Tensor]:
        total, labels = mean_positives(assignment), targets.labels_of(assignment)
        wanted = self.coder.encode(anchors.boxes, targets.boxes_of(assignment, anchors.boxes))
        distances = (predictions.boxes - wanted).abs().sum(-1) * (assignment >= 0)
        return {
            "class": focal_loss(predictions.logits, labels) / total,
            "bbox": distances.sum() / total,
        }

    def candidates(
        self, pyramid: Pyramid, anchors: Anchors, assignment: Assignment, draw: Draw
    ) -> Candidates:
        """A sample of the anchors inside the images."""
        some = sample(assignment, self.max_candidates // 2, self.max_candidates, draw)
        cells = some._replace(rows=some.rows // len(self.shapes))
        return Candidates(anchors.boxes[some.rows], cells.pick(pyramid.tokens), some.assignment)
