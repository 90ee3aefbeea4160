"""Encoders, decoders and query selections."""

from hdetr_d2.modeling.transformer.base import Decoder, Encoder
from hdetr_d2.modeling.transformer.coarse_encoder import CoarseEncoder
from hdetr_d2.modeling.transformer.deformable_decoder import DeformableDecoder
from hdetr_d2.modeling.transformer.deformable_encoder import DeformableEncoder
from hdetr_d2.modeling.transformer.dense_decoder import DenseDecoder
from hdetr_d2.modeling.transformer.dense_encoder import DenseEncoder
from hdetr_d2.modeling.transformer.fusion import LayerFusion
from hdetr_d2.modeling.transformer.layer_order import CrossFirst, LayerOrder, SelfFirst
from hdetr_d2.modeling.transformer.proposals import (
    DINOQueries,
    ObjectQueries,
    ProposalQueries,
    TwoStageQueries,
)
from hdetr_d2.modeling.transformer.query_selection import (
    LearnedAnchors,
    LearnedPositions,
    LearnedQueries,
    QuerySelection,
    Selection,
    Slots,
)
from hdetr_d2.modeling.transformer.sizes import DenseLayerSizes, LayerSizes
from hdetr_d2.modeling.transformer.suppressing_decoder import SuppressingDecoder

__all__ = [
    "CrossFirst",
    "Decoder",
    "Encoder",
    "DINOQueries",
    "DeformableDecoder",
    "CoarseEncoder",
    "DeformableEncoder",
    "DenseDecoder",
    "DenseEncoder",
    "DenseLayerSizes",
    "LayerFusion",
    "LayerOrder",
    "LayerSizes",
    "LearnedAnchors",
    "LearnedPositions",
    "LearnedQueries",
    "ObjectQueries",
    "ProposalQueries",
    "QuerySelection",
    "Selection",
    "SelfFirst",
    "Slots",
    "SuppressingDecoder",
    "TwoStageQueries",
]
