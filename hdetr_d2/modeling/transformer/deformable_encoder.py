"""The encoder of Deformable DETR (https://arxiv.org/abs/2010.04159)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hdetr_d2.layers import DeformableAttention, FeedForward, SinePositionEncoding
from hdetr_d2.modeling.transformer.base import Encoder, reset_linear, run_layer
from hdetr_d2.modeling.transformer.geometry import cell_centres, level_padding, valid_ratio
from hdetr_d2.structures import Memory


class DeformableEncoderLayer(nn.Module):
    """Deformable self-attention over all levels, then the feed-forward half; both post-norm."""

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        num_levels: int,
        num_points: int,
        feedforward_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.attention = DeformableAttention(
            dim=dim, num_heads=num_heads, num_levels=num_levels, num_points=num_points
        )
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(dim)
        self.feed_forward = FeedForward(dim=dim, hidden_dim=feedforward_dim, dropout=dropout)

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        reference: Tensor,
        shapes: Sequence[tuple[int, int]],
        padding: Tensor,
    ) -> Tensor:
        update = self.attention(x + position, reference, x, shapes, padding)
        return self.feed_forward(self.norm(x + self.dropout(update)))


class DeformableEncoder(Encoder):
    """Feature maps to `Memory`.

    Args:
        dim: channels C of the features.
        num_heads, num_levels, num_points: of the deformable attention.
        num_layers: encoder layers.
        feedforward_dim: hidden channels of a layer's feed-forward half.
        position: encodes the cells of a level.
        dropout: of every residual branch.
        checkpointing: recompute a layer's activations in the backward pass instead of keeping them.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        num_levels: int,
        num_points: int,
        num_layers: int,
        feedforward_dim: int,
        position: SinePositionEncoding,
        dropout: float = 0.0,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.position = position
        self.checkpointing = checkpointing
        self.level_embed = nn.Parameter(torch.randn(num_levels, dim))
        self.layers = nn.ModuleList(
            DeformableEncoderLayer(
                dim=dim,
                num_heads=num_heads,
                num_levels=num_levels,
                num_points=num_points,
                feedforward_dim=feedforward_dim,
                dropout=dropout,
            )
            for _ in range(num_layers)
        )
        for layer in self.layers:
            reset_linear(layer.get_submodule("feed_forward"))

    def forward(self, features: Sequence[Tensor], padding: Tensor) -> Memory:
        """Encodes L maps `Tensor[B, C, H_l, W_l]` of images whose `padding` is `Tensor[B, H, W]`
        bool.
        """
        shapes = tuple((f.shape[-2], f.shape[-1]) for f in features)
        masks = [level_padding(padding, shape) for shape in shapes]
        position = torch.cat(
            [
                self.position(mask).flatten(1, 2) + embed
                for mask, embed in zip(masks, self.level_embed, strict=True)
            ],
            1,
        )
        x = torch.cat([f.flatten(2).transpose(1, 2) for f in features], 1)  # [B, S, C]
        flat_padding = torch.cat([mask.flatten(1) for mask in masks], 1)
        valid_ratios = torch.stack([valid_ratio(mask) for mask in masks], 1)  # [B, L, 2]
        reference = cell_centres(shapes, valid_ratios)[:, :, None] * valid_ratios[:, None]
        for layer in self.layers:
            inputs = (x, position, reference, shapes, flat_padding)
            x = run_layer(layer, *inputs, checkpointing=self.checkpointing)
        return Memory(x, flat_padding, shapes, valid_ratios)
