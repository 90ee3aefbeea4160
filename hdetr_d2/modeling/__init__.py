"""Backbones, necks, transformers, heads and the meta-architecture that puts them together."""

from .backbone import TimmBackbone
from .heads import PredictionHeads
from .meta_arch import DETR
from .neck import ChannelMapper
from .preprocessing import Preprocessing
from .transformer import DeformableDecoder, DeformableEncoder, LearnedQueries, TwoStageQueries

__all__ = [
    "DETR",
    "ChannelMapper",
    "DeformableDecoder",
    "DeformableEncoder",
    "LearnedQueries",
    "PredictionHeads",
    "Preprocessing",
    "TimmBackbone",
    "TwoStageQueries",
]
