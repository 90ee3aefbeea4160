"""ATSS (https://arxiv.org/abs/1912.02424), a head of Co-DETR's recipes."""

from torch import Tensor

from hdetr_d2.projects.co_detr.anchors import Anchors, square_anchors
from hdetr_d2.projects.co_detr.assigners import assign_by_statistics
from hdetr_d2.projects.co_detr.box_coder import DeltaCoder
from hdetr_d2.projects.co_detr.detection import Suppression
from hdetr_d2.projects.co_detr.heads.centerness import CenternessHead
from hdetr_d2.projects.co_detr.heads.predictor import DensePredictor, Predictions
from hdetr_d2.projects.co_detr.losses import mean_positives
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import Assignment


class ATSSHead(CenternessHead):
    """One square anchor a cell, and the targets whose IoU with it stands out.

    Args:
        dim: channels C of the maps.
        num_classes: K.
        num_levels: of the pyramid.
        num_convs: in each tower; one in Co-DETR, four in a detector of its own.
        weight: of all losses.
    """

    giou_weight = 2.0

    def __init__(
        self,
        *,
        dim: int,
        num_classes: int,
        num_levels: int,
        num_convs: int = 1,
        weight: float = 1.0,
    ) -> None:
        super().__init__(
            predictor=DensePredictor(
                dim=dim, num_classes=num_classes, num_levels=num_levels, num_convs=num_convs
            ),
            shapes=square_anchors(),
            suppression=Suppression(iou=0.6),
            weight=weight,
        )
        self.coder = DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2))

    def decode(self, raw: Tensor, anchors: Anchors) -> Tensor:
        return self.coder.decode(anchors.boxes, raw)

    def assign(
        self, predictions: Predictions, anchors: Anchors, targets: PixelTargets
    ) -> Assignment:
        return assign_by_statistics(anchors, targets)

    def normaliser(self, assignment: Assignment) -> Tensor:
        return mean_positives(assignment)
