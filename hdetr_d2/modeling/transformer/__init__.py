"""Encoders, decoders and query selections."""

from hdetr_d2.modeling.transformer.base import Decoder, Encoder
from hdetr_d2.modeling.transformer.deformable_decoder import DeformableDecoder
from hdetr_d2.modeling.transformer.deformable_encoder import DeformableEncoder
from hdetr_d2.modeling.transformer.proposals import DINOQueries, ProposalQueries, TwoStageQueries
from hdetr_d2.modeling.transformer.query_selection import (
    LearnedQueries,
    QuerySelection,
    Selection,
    Slots,
)
from hdetr_d2.modeling.transformer.sizes import LayerSizes

__all__ = [
    "Decoder",
    "Encoder",
    "DINOQueries",
    "DeformableDecoder",
    "DeformableEncoder",
    "LayerSizes",
    "LearnedQueries",
    "ProposalQueries",
    "QuerySelection",
    "Selection",
    "Slots",
    "TwoStageQueries",
]
