"""Decoder queries from the boxes of positive candidates."""

import math

import torch
from torch import Tensor, nn

from hdetr_d2.layers import Linear, sine_embedding
from hdetr_d2.schemes import Context
from hdetr_d2.structures import Queries

_EPS = 1e-5
"""Minimum distance of a coordinate to the border of the image, for the embedding."""


def embed(boxes: Tensor, dim: int) -> Tensor:
    """Sine embedding `Tensor[B, Q, 2 * dim]` of boxes `Tensor[B, Q, 4]` cxcywh in [0, 1];
    candidates may extend beyond the image.
    """
    return sine_embedding(2 * math.pi * boxes.clamp(_EPS, 1 - _EPS), dim // 2)


def _linear(dim_in: int, dim_out: int) -> nn.Linear:
    layer = Linear(dim_in, dim_out)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class BoxQueries(nn.Module):
    """Content from the box; the position is computed as for the main queries (Co-DINO).

    Args:
        dim: channels C.
    """

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.box_proj = _linear(2 * dim, dim)
        self.box_norm = nn.LayerNorm(dim)

    def forward(self, boxes: Tensor, features: Tensor, context: Context) -> Queries:
        """Queries at `Tensor[B, Q, 4]` cxcywh in [0, 1], with the same parts as the main
        queries.
        """
        content = self.box_norm(self.box_proj(embed(boxes, self.dim)))
        return Queries(content, context.embed_boxes(boxes), context.reference_at(boxes))


class FeatureQueries(nn.Module):
    """Position and content from the box, plus the candidate's feature in the content
    (Co-Deformable-DETR). For decoders that compute positions, everything goes into the content.

    Args:
        dim: channels C.
    """

    def __init__(self, *, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.box_proj = _linear(2 * dim, 2 * dim)
        self.box_norm = nn.LayerNorm(2 * dim)
        self.feature_proj = _linear(dim, dim)
        self.feature_norm = nn.LayerNorm(dim)
        # One number for all channels distinguishes the heads, as in the published weights.
        self.head_position = nn.Parameter(torch.zeros(()))

    def forward(self, boxes: Tensor, features: Tensor, context: Context) -> Queries:
        """Queries at `Tensor[B, Q, 4]` cxcywh in [0, 1] with the features `Tensor[B, Q, C]`."""
        position, content = self.box_norm(self.box_proj(embed(boxes, self.dim))).chunk(2, -1)
        content = content + self.feature_norm(self.feature_proj(features))
        position = position + self.head_position
        if context.main.queries.position is None:  # computed by the decoder
            content, position = content + position, None
        return Queries(content, position, context.reference_at(boxes))
