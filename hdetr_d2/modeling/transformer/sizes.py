"""The sizes that the layers of a transformer share."""

from dataclasses import dataclass

from torch import nn

from hdetr_d2.layers import (
    DeformableAttention,
    DenseAttention,
    FeedForward,
    PostNorm,
    PreNorm,
    SelfAttention,
)


@dataclass(frozen=True, kw_only=True)
class DenseLayerSizes:
    """What an encoder or decoder layer is made of.

    Args:
        dim: channels C.
        num_heads: heads of every attention.
        feedforward_dim: hidden channels of the feed-forward half.
        dropout: of every residual branch and of the weights of dense attention.
        pre_norm: whether norms are of what a branch sees, else of the sum.
    """

    dim: int
    num_heads: int
    feedforward_dim: int
    dropout: float = 0.0
    pre_norm: bool = False

    def self_attention(self) -> SelfAttention:
        """A new attention among queries."""
        return SelfAttention(dim=self.dim, num_heads=self.num_heads, dropout=self.dropout)

    def dense_attention(self) -> DenseAttention:
        """A new attention to all tokens."""
        return DenseAttention(dim=self.dim, num_heads=self.num_heads, dropout=self.dropout)

    def residual(self) -> PostNorm:
        """A new sum of a branch and its input."""
        return PreNorm(self.dropout) if self.pre_norm else PostNorm(self.dropout)

    def feed_forward(self) -> FeedForward:
        """A new feed-forward half."""
        return FeedForward(dim=self.dim, hidden_dim=self.feedforward_dim, residual=self.residual())

    def norm(self) -> nn.LayerNorm:
        """A new norm."""
        return nn.LayerNorm(self.dim)

    def norm_of_encoder(self) -> nn.Module:
        """A new norm behind the last layer: with post-norm, the layer's own was the last."""
        return self.norm() if self.pre_norm else nn.Identity()


@dataclass(frozen=True, kw_only=True)
class LayerSizes(DenseLayerSizes):
    """What a deformable encoder or decoder layer is made of.

    Args:
        num_levels: feature levels L.
        num_points: samples of a head on a level.
    """

    num_levels: int
    num_points: int

    def deformable_attention(self) -> DeformableAttention:
        """A new attention to places near a reference."""
        return DeformableAttention(
            dim=self.dim,
            num_heads=self.num_heads,
            num_levels=self.num_levels,
            num_points=self.num_points,
        )
