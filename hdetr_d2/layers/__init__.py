"""Building blocks of the transformers: attention, position encodings, MLP."""

from hdetr_d2.layers.attention import DenseAttention
from hdetr_d2.layers.attention_bias import AttentionBias, QueryState
from hdetr_d2.layers.attention_maps import AttentionMaps
from hdetr_d2.layers.box_relation import BoxRelation, box_relation
from hdetr_d2.layers.confidence_order import ConfidenceOrder
from hdetr_d2.layers.deformable_attention import DeformableAttention
from hdetr_d2.layers.dropout import Dropout
from hdetr_d2.layers.feed_forward import FeedForward, TwoLinears
from hdetr_d2.layers.linear import Linear, replace_linears
from hdetr_d2.layers.mlp import MLP
from hdetr_d2.layers.passing import attend_or_pass
from hdetr_d2.layers.position import (
    LearnedPositionEncoding,
    ReferencePosition,
    SinePositionEncoding,
    sine_embedding,
)
from hdetr_d2.layers.residual import PostNorm, PreNorm
from hdetr_d2.layers.self_attention import (
    Entry,
    Layout,
    SelfAttention,
    Span,
    attend_within_groups,
)

__all__ = [
    "MLP",
    "AttentionBias",
    "AttentionMaps",
    "BoxRelation",
    "ConfidenceOrder",
    "DeformableAttention",
    "DenseAttention",
    "Dropout",
    "Entry",
    "FeedForward",
    "Layout",
    "Linear",
    "LearnedPositionEncoding",
    "PostNorm",
    "PreNorm",
    "QueryState",
    "ReferencePosition",
    "SelfAttention",
    "SinePositionEncoding",
    "Span",
    "TwoLinears",
    "attend_or_pass",
    "attend_within_groups",
    "box_relation",
    "replace_linears",
    "sine_embedding",
]
