"""Probabilistic anchor assignment (PAA, https://arxiv.org/abs/2007.08103)."""

from collections.abc import Mapping

from torch import Tensor

from hdetr_d2.ops import box_iou, generalized_box_iou, sigmoid_focal_loss
from hdetr_d2.projects.co_detr.anchors import Anchors
from hdetr_d2.projects.co_detr.assigners import MaxIoU, assign_by_mixture
from hdetr_d2.projects.co_detr.box_coder import DeltaCoder
from hdetr_d2.projects.co_detr.heads.dense import DenseHead
from hdetr_d2.projects.co_detr.heads.predictor import DensePredictions
from hdetr_d2.projects.co_detr.losses import at_least_one, binary_loss, focal_loss, giou_loss
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import Assignment
from hdetr_d2.utils.distributed import mean_over_processes

_GIOU_WEIGHT = 1.3
_LEAST_IOU = 1e-6


class PAAHead(DenseHead):
    """One square anchor per cell; a target is learned where it already fits well. Losses: "class",
    "giou" and "iou". The paper's final box voting is not included.
    """

    coder = DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2))
    nearby = MaxIoU(positive=0.1, negative=0.1, rescue=0.0)

    def decode(self, raw: Tensor, anchors: Anchors) -> Tensor:
        return self.coder.decode(anchors.boxes, raw)

    def assign(
        self, predictions: DensePredictions, anchors: Anchors, targets: PixelTargets
    ) -> Assignment:
        candidates = self.nearby(anchors.boxes, anchors.valid, targets)
        wanted = targets.boxes_of(candidates, anchors.boxes)
        giou = 1 - generalized_box_iou(self.decode(predictions.boxes, anchors), wanted)
        # Every anchor is treated as a layer, to obtain its individual loss.
        logits, labels = predictions.logits, targets.labels_of(candidates)
        focal = sigmoid_focal_loss(logits.flatten(0, 1)[:, None, None], labels.view(-1, 1, 1))
        losses = focal.view_as(giou) + _GIOU_WEIGHT * giou
        return assign_by_mixture(candidates, losses, targets.labels.shape[1], anchors)

    def losses(
        self,
        predictions: DensePredictions,
        anchors: Anchors,
        assignment: Assignment,
        targets: PixelTargets,
    ) -> Mapping[str, Tensor]:
        positive = assignment >= 0
        boxes = self.decode(predictions.boxes, anchors).where(positive[..., None], anchors.boxes)
        wanted = targets.boxes_of(assignment, anchors.boxes)
        iou = box_iou(boxes.detach(), wanted).clamp(min=_LEAST_IOU) * positive
        total = at_least_one(positive.sum().clamp(min=len(positive)))
        giou = giou_loss(boxes, wanted, iou)
        giou = giou / mean_over_processes(iou.sum()).clamp(min=_LEAST_IOU)
        assert predictions.quality is not None
        return {
            "class": focal_loss(predictions.logits, targets.labels_of(assignment)) / total,
            "giou": _GIOU_WEIGHT * giou,
            "iou": 0.5 * binary_loss(predictions.quality, iou, positive.float()) / total,
        }

    def scores(self, pairs: Tensor, quality: Tensor | None) -> Tensor:
        return super().scores(pairs, quality).sqrt()
