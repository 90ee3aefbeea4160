"""The feed-forward half of a transformer layer."""

import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.layers.linear import Linear
from hdetr_d2.layers.residual import PostNorm


class FeedForward(nn.Module):
    """Two linear layers with ReLU, residual and LayerNorm: `Tensor[..., dim]` to the same.

    Args:
        dim: channels.
        hidden_dim: channels between the two layers.
        residual: how the branch is added, with its dropout; None for post-norm without.
    """

    def __init__(self, *, dim: int, hidden_dim: int, residual: PostNorm | None = None) -> None:
        super().__init__()
        self.linear1 = Linear(dim, hidden_dim)
        self.linear2 = Linear(hidden_dim, dim)
        self.residual = residual or PostNorm()
        self.norm = nn.LayerNorm(dim)
        for layer in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.residual(x, self.norm, self._branch)

    def _branch(self, x: Tensor) -> Tensor:
        dropout = self.residual.dropout
        if not dropout.active:
            return self.linear2(self.linear1(x, relu=True))
        # In this order one tensor is kept for the backward, in the other one two: equal numbers.
        return self.linear2(F.relu(dropout(self.linear1(x)), inplace=True))
