"""The sizes shared by the layers of a transformer."""

from torch import nn

from hdetr_d2.layers import (
    DeformableAttention,
    DenseAttention,
    FeedForward,
    PostNorm,
    PreNorm,
    SelfAttention,
)


class DenseLayerSizes:
    """The sizes of an encoder or decoder layer, and constructors of its parts.

    Args:
        dim: channels C.
        num_heads: heads of every attention.
        feedforward_dim: hidden channels of the feed-forward network.
        dropout: of every residual branch, and of the weights of dense attention.
        pre_norm: normalise the input of a branch instead of the sum.
        checkpointing: recompute the hidden channels in the backward pass instead of storing them.
    """

    # Not a dataclass: LazyCall turns these into text that Detectron2 cannot write as Python again.
    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        feedforward_dim: int,
        dropout: float = 0.0,
        pre_norm: bool = False,
        checkpointing: bool = False,
    ) -> None:
        self.dim = dim
        self.num_heads = num_heads
        self.feedforward_dim = feedforward_dim
        self.dropout = dropout
        self.pre_norm = pre_norm
        self.checkpointing = checkpointing

    def self_attention(self) -> SelfAttention:
        """A new self-attention of queries."""
        return SelfAttention(dim=self.dim, num_heads=self.num_heads, dropout=self.dropout)

    def dense_attention(self) -> DenseAttention:
        """A new attention to all tokens."""
        return DenseAttention(dim=self.dim, num_heads=self.num_heads, dropout=self.dropout)

    def residual(self) -> PostNorm:
        """A new residual connection."""
        return PreNorm(self.dropout) if self.pre_norm else PostNorm(self.dropout)

    def feed_forward(self) -> FeedForward:
        """A new feed-forward network."""
        return FeedForward(
            dim=self.dim,
            hidden_dim=self.feedforward_dim,
            residual=self.residual(),
            checkpointing=self.checkpointing,
        )

    def norm(self) -> nn.LayerNorm:
        """A new norm."""
        return nn.LayerNorm(self.dim)

    def norm_of_encoder(self) -> nn.Module:
        """A new norm after the last layer, for pre-norm only: with post-norm the last layer ends
        with one.
        """
        return self.norm() if self.pre_norm else nn.Identity()


class LayerSizes(DenseLayerSizes):
    """The sizes of a deformable encoder or decoder layer, and constructors of its parts.

    Args:
        num_levels: feature levels L.
        num_points: sampling points per head and level.
        dim, num_heads, feedforward_dim, dropout, pre_norm, checkpointing: see `DenseLayerSizes`.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        num_levels: int,
        num_points: int,
        feedforward_dim: int,
        dropout: float = 0.0,
        pre_norm: bool = False,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(
            dim=dim,
            num_heads=num_heads,
            feedforward_dim=feedforward_dim,
            dropout=dropout,
            pre_norm=pre_norm,
            checkpointing=checkpointing,
        )
        self.num_levels = num_levels
        self.num_points = num_points

    def deformable_attention(self) -> DeformableAttention:
        """A new deformable attention."""
        return DeformableAttention(
            dim=self.dim,
            num_heads=self.num_heads,
            num_levels=self.num_levels,
            num_points=self.num_points,
        )
