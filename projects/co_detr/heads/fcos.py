"""FCOS (https://arxiv.org/abs/1904.01355), in its improved form: centre sampling, GIoU, distances
in strides, centerness beside the boxes.
"""

from torch import Tensor

from hdetr_d2.projects.co_detr.anchors import Anchors, square_anchors
from hdetr_d2.projects.co_detr.assigners import assign_by_centre
from hdetr_d2.projects.co_detr.boxes import boxes_around
from hdetr_d2.projects.co_detr.heads.centerness import CenternessHead
from hdetr_d2.projects.co_detr.heads.predictor import DensePredictions
from hdetr_d2.projects.co_detr.losses import at_least_one
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import Assignment

_LARGEST_LOG = 10.0
"""Limit on the logarithm of a distance in strides; larger distances do not occur, and the gradient
of exp could overflow.
"""


class FCOSHead(CenternessHead):
    """One point per cell, which learns the smallest target near whose centre it is.

    A point is not a box, so the box of a decoder query is the square of eight strides around the
    point, like ATSS's anchor. This is our choice; the paper only mentions the point.
    """

    giou_weight = 1.0
    shapes = square_anchors(offset=0.5)

    def decode(self, raw: Tensor, anchors: Anchors) -> Tensor:
        distances = raw.clamp(max=_LARGEST_LOG).exp()
        return boxes_around(anchors.centres, distances * anchors.strides[:, None])

    def assign(
        self, predictions: DensePredictions, anchors: Anchors, targets: PixelTargets
    ) -> Assignment:
        return assign_by_centre(anchors, targets)

    def normaliser(self, assignment: Assignment) -> Tensor:
        return at_least_one((assignment >= 0).sum())
