"""Backbones from timm behind Detectron2's interface."""

from hdetr_d2.modeling.backbone.norm import FrozenBatchNorm2d
from hdetr_d2.modeling.backbone.pretrained import without_pretrained
from hdetr_d2.modeling.backbone.timm_backbone import TimmBackbone
from hdetr_d2.modeling.backbone.vitdet import ViTDet
from hdetr_d2.modeling.backbone.windowed_vit import WindowedViT

__all__ = ["FrozenBatchNorm2d", "TimmBackbone", "ViTDet", "WindowedViT", "without_pretrained"]
