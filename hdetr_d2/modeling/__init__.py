"""Backbones, necks, transformers, heads, and the meta-architecture that combines them."""

from hdetr_d2.modeling.backbone import TimmBackbone, ViTDet, WindowedViT
from hdetr_d2.modeling.heads import PredictionHeads
from hdetr_d2.modeling.low_rank import LowRank
from hdetr_d2.modeling.mask_head import MaskHead
from hdetr_d2.modeling.meta_arch import DETR
from hdetr_d2.modeling.neck import ChannelMapper
from hdetr_d2.modeling.nms import NMSPairs
from hdetr_d2.modeling.panoptic import PanopticMerger
from hdetr_d2.modeling.picks import BestClasses, BestPairs
from hdetr_d2.modeling.postprocessing import PostProcessing
from hdetr_d2.modeling.preprocessing import GreySquare, Preprocessing
from hdetr_d2.modeling.simple_feature_pyramid import SimpleFeaturePyramid
from hdetr_d2.modeling.soft_nms import SoftNMSPairs
from hdetr_d2.modeling.transformer import (
    CoarseEncoder,
    CrossFirst,
    DeformableDecoder,
    DeformableEncoder,
    DenseDecoder,
    DenseEncoder,
    DenseLayerSizes,
    DINOQueries,
    LayerFusion,
    LayerSizes,
    LearnedAnchors,
    LearnedPositions,
    LearnedQueries,
    ObjectQueries,
    SuppressingDecoder,
    TwoStageQueries,
)
from hdetr_d2.modeling.vitdet_pyramid import ViTDetPyramid

__all__ = [
    "DETR",
    "BestClasses",
    "BestPairs",
    "ChannelMapper",
    "DINOQueries",
    "DeformableDecoder",
    "CoarseEncoder",
    "CrossFirst",
    "DeformableEncoder",
    "DenseDecoder",
    "DenseEncoder",
    "DenseLayerSizes",
    "GreySquare",
    "LayerFusion",
    "LayerSizes",
    "LearnedAnchors",
    "LearnedPositions",
    "LearnedQueries",
    "LowRank",
    "MaskHead",
    "NMSPairs",
    "ObjectQueries",
    "PanopticMerger",
    "PostProcessing",
    "PredictionHeads",
    "Preprocessing",
    "SimpleFeaturePyramid",
    "SoftNMSPairs",
    "TimmBackbone",
    "SuppressingDecoder",
    "TwoStageQueries",
    "ViTDet",
    "ViTDetPyramid",
    "WindowedViT",
]
