"""The sizes that the layers of a deformable transformer share."""

from dataclasses import dataclass

from hdetr_d2.layers import DeformableAttention, FeedForward


@dataclass(frozen=True, kw_only=True)
class LayerSizes:
    """What a deformable encoder or decoder layer is made of.

    Args:
        dim: channels C.
        num_heads: heads of every attention.
        num_levels: feature levels L.
        num_points: samples of a head on a level.
        feedforward_dim: hidden channels of the feed-forward half.
        dropout: of every residual branch and of self-attention weights.
    """

    dim: int
    num_heads: int
    num_levels: int
    num_points: int
    feedforward_dim: int
    dropout: float = 0.0

    def deformable_attention(self) -> DeformableAttention:
        """A new attention of these sizes."""
        return DeformableAttention(
            dim=self.dim,
            num_heads=self.num_heads,
            num_levels=self.num_levels,
            num_points=self.num_points,
        )

    def feed_forward(self) -> FeedForward:
        """A new feed-forward half of these sizes."""
        return FeedForward(dim=self.dim, hidden_dim=self.feedforward_dim, dropout=self.dropout)
