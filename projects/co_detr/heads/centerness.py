"""The common base of heads with a centerness output."""

from abc import abstractmethod
from collections.abc import Mapping

from torch import Tensor

from hdetr_d2.projects.co_detr.anchors import Anchors
from hdetr_d2.projects.co_detr.heads.dense import DenseHead
from hdetr_d2.projects.co_detr.heads.predictor import DensePredictions
from hdetr_d2.projects.co_detr.losses import (
    at_least_one,
    binary_loss,
    centerness,
    focal_loss,
    giou_loss,
)
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import Assignment


class CenternessHead(DenseHead):
    """The losses "class", "giou" and "centerness"; box losses are weighted by how well the anchor
    is centred in its target.

    giou_weight: weight of "giou"; the others have 1.
    """

    giou_weight: float

    @abstractmethod
    def normaliser(self, assignment: Assignment) -> Tensor:
        """The divisor of "class" and "centerness", 0-d, from an assignment `Tensor[B, N]`."""

    def losses(
        self,
        predictions: DensePredictions,
        anchors: Anchors,
        assignment: Assignment,
        targets: PixelTargets,
    ) -> Mapping[str, Tensor]:
        positive, total = assignment >= 0, self.normaliser(assignment)
        # Without a target, both boxes are replaced by the anchor, so that loss and gradient are
        # zero.
        boxes = self.decode(predictions.boxes, anchors).where(positive[..., None], anchors.boxes)
        wanted = targets.boxes_of(assignment, anchors.boxes)
        centred = centerness(anchors.centres, wanted) * positive
        giou = giou_loss(boxes, wanted, centred) / at_least_one(centred.sum())
        assert predictions.quality is not None
        return {
            "class": focal_loss(predictions.logits, targets.labels_of(assignment)) / total,
            "giou": self.giou_weight * giou,
            "centerness": binary_loss(predictions.quality, centred, positive.float()) / total,
        }
