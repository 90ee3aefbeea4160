"""ATSS (https://arxiv.org/abs/1912.02424), a head of Co-DETR's recipes."""

from torch import Tensor

from hdetr_d2.projects.co_detr.anchors import Anchors
from hdetr_d2.projects.co_detr.assigners import assign_by_statistics
from hdetr_d2.projects.co_detr.box_coder import DeltaCoder
from hdetr_d2.projects.co_detr.heads.centerness import CenternessHead
from hdetr_d2.projects.co_detr.heads.predictor import DensePredictions
from hdetr_d2.projects.co_detr.losses import mean_positives
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import Assignment


class ATSSHead(CenternessHead):
    """One square anchor per cell; targets are assigned by IoU statistics."""

    giou_weight = 2.0
    coder = DeltaCoder(stds=(0.1, 0.1, 0.2, 0.2))

    def decode(self, raw: Tensor, anchors: Anchors) -> Tensor:
        return self.coder.decode(anchors.boxes, raw)

    def assign(
        self, predictions: DensePredictions, anchors: Anchors, targets: PixelTargets
    ) -> Assignment:
        return assign_by_statistics(anchors, targets)

    def normaliser(self, assignment: Assignment) -> Tensor:
        return mean_positives(assignment)
