"""Building blocks of the transformers: attention, position encodings, box functions, MLP."""

from hdetr_d2.layers.boxes import (
    box_cxcywh_to_xyxy,
    generalized_box_iou,
    inverse_sigmoid,
    pairwise_generalized_box_iou,
)
from hdetr_d2.layers.deformable_attention import DeformableAttention
from hdetr_d2.layers.feed_forward import FeedForward
from hdetr_d2.layers.mlp import MLP
from hdetr_d2.layers.position import SinePositionEncoding, sine_embedding
from hdetr_d2.layers.self_attention import SelfAttention

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
