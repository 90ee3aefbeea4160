"""Class losses and the criterion."""

from .class_losses import ClassLoss, FocalLoss
from .criterion import Criterion

__all__ = ["ClassLoss", "Criterion", "FocalLoss"]
