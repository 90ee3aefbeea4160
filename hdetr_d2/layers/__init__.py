"""Building blocks of the transformers: attention, position encodings, box functions, MLP."""

from .boxes import (
    box_cxcywh_to_xyxy,
    generalized_box_iou,
    inverse_sigmoid,
    pairwise_generalized_box_iou,
)
from .deformable_attention import DeformableAttention
from .feed_forward import FeedForward
from .mlp import MLP
from .position import SinePositionEncoding, sine_embedding
from .self_attention import SelfAttention

__all__ = [
    "MLP",
    "DeformableAttention",
    "FeedForward",
    "SelfAttention",
    "SinePositionEncoding",
    "box_cxcywh_to_xyxy",
    "generalized_box_iou",
    "inverse_sigmoid",
    "pairwise_generalized_box_iou",
    "sine_embedding",
]
