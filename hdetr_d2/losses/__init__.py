"""Class losses and the criterion."""

from hdetr_d2.losses.class_losses import ClassLoss, FocalLoss
from hdetr_d2.losses.criterion import Criterion

__all__ = ["ClassLoss", "Criterion", "FocalLoss"]
