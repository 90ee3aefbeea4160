"""Class losses, the criterion, and mask losses."""

from hdetr_d2.losses.class_losses import ClassLoss, FocalLoss, share_class_loss
from hdetr_d2.losses.criterion import Criterion, is_of_last_layer
from hdetr_d2.losses.federated import FederatedLoss
from hdetr_d2.losses.iou_aware import IoUAwareLoss
from hdetr_d2.losses.mask_losses import MaskLoss
from hdetr_d2.losses.quality_focal import (
    GIoUAwareLoss,
    PositionSupervisedLoss,
    QualityFocalLoss,
)
from hdetr_d2.losses.softmax import SoftmaxLoss
from hdetr_d2.losses.varifocal import GradedLoss, MatchabilityLoss, VarifocalLoss

__all__ = [
    "ClassLoss",
    "Criterion",
    "FederatedLoss",
    "FocalLoss",
    "GIoUAwareLoss",
    "GradedLoss",
    "IoUAwareLoss",
    "MaskLoss",
    "MatchabilityLoss",
    "PositionSupervisedLoss",
    "QualityFocalLoss",
    "SoftmaxLoss",
    "VarifocalLoss",
    "is_of_last_layer",
    "share_class_loss",
]
