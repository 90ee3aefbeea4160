"""The feed-forward half of a transformer layer."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hdetr_d2.layers.dropout import Dropout
from hdetr_d2.layers.linear import Linear
from hdetr_d2.layers.residual import PostNorm


class TwoLinears(nn.Module):
    """Two linear layers with ReLU: `Tensor[..., dim]` to the same.

    Args:
        dim: channels.
        hidden_dim: channels between the two layers.
        dropout: between them, in training.
        checkpointing: recompute what is between them in the backward pass instead of keeping it,
            which is most of what a transformer keeps.
    """

    def __init__(
        self, *, dim: int, hidden_dim: int, dropout: float = 0.0, checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.checkpointing = checkpointing
        self.linear1 = Linear(dim, hidden_dim)
        self.linear2 = Linear(hidden_dim, dim)
        self.hidden_dropout = Dropout(dropout)
        for layer in (self.linear1, self.linear2):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        if self.checkpointing and self.training:
            return checkpoint(self._both, x, use_reentrant=False)
        return self._both(x)

    def _both(self, x: Tensor) -> Tensor:
        if not self.hidden_dropout.active:
            return self.linear2(self.linear1(x, relu=True))
        # In this order one tensor is kept for the backward, in the other one two: equal numbers.
        return self.linear2(F.relu(self.hidden_dropout(self.linear1(x)), inplace=True))


class FeedForward(TwoLinears):
    """Two linear layers with ReLU, residual and LayerNorm: `Tensor[..., dim]` to the same.

    Args:
        dim: channels.
        hidden_dim: channels between the two layers.
        residual: how the branch is added, with its dropout; None for post-norm without.
        checkpointing: see `TwoLinears`.
    """

    def __init__(
        self,
        *,
        dim: int,
        hidden_dim: int,
        residual: PostNorm | None = None,
        checkpointing: bool = False,
    ) -> None:
        residual = residual or PostNorm()
        super().__init__(
            dim=dim,
            hidden_dim=hidden_dim,
            dropout=residual.dropout.p,
            checkpointing=checkpointing,
        )
        self.residual = residual
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, branch: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """`branch`: in the place of the linear layers."""
        return self.residual(x, self.norm, branch or self.branch)

    def branch(self, x: Tensor) -> Tensor:
        """What the linear layers make, which the residual adds: `Tensor[..., dim]` to the same."""
        return super().forward(x)
