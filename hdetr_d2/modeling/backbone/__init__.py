"""Backbones from timm behind Detectron2's interface."""

from .norm import FrozenBatchNorm2d
from .pretrained import without_pretrained
from .timm_backbone import TimmBackbone

__all__ = ["FrozenBatchNorm2d", "TimmBackbone", "without_pretrained"]
