"""Backbones, necks, transformers, heads and the meta-architecture that puts them together."""

from hdetr_d2.modeling.backbone import TimmBackbone
from hdetr_d2.modeling.heads import PredictionHeads
from hdetr_d2.modeling.meta_arch import DETR
from hdetr_d2.modeling.neck import ChannelMapper
from hdetr_d2.modeling.preprocessing import Preprocessing
from hdetr_d2.modeling.transformer import (
    DeformableDecoder,
    DeformableEncoder,
    DINOQueries,
    LayerSizes,
    LearnedQueries,
    TwoStageQueries,
)

__all__ = [
    "DETR",
    "ChannelMapper",
    "DINOQueries",
    "DeformableDecoder",
    "DeformableEncoder",
    "LayerSizes",
    "LearnedQueries",
    "PredictionHeads",
    "Preprocessing",
    "TimmBackbone",
    "TwoStageQueries",
]
