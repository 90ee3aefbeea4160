"""The feed-forward network of a transformer layer."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hdetr_d2.layers.dropout import Dropout
from hdetr_d2.layers.linear import Linear
from hdetr_d2.layers.residual import PostNorm


class TwoLinears(nn.Module):
    """Two linear layers with a ReLU in between: `Tensor[..., dim]` to `Tensor[..., dim]`.

    Args:
        dim: channels.
        hidden_dim: channels between the two layers.
        dropout: between them, in training only.
        checkpointing: recompute the activations between them in the backward pass instead of
            storing them; they are most of what a transformer stores.
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
        # In this order one tensor is stored for the backward pass, in the other order two, with
        # equal results.
        return self.linear2(F.relu(self.hidden_dropout(self.linear1(x)), inplace=True))


class FeedForward(TwoLinears):
    """Two linear layers with ReLU, residual and LayerNorm: `Tensor[..., dim]` to
    `Tensor[..., dim]`.

    Args:
        dim: channels.
        hidden_dim: channels between the two layers.
        residual: how the branch is added, including its dropout; None is post-norm without dropout.
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
        """`branch` replaces the linear layers."""
        return self.residual(x, self.norm, branch or self.branch)

    def branch(self, x: Tensor) -> Tensor:
        """The output of the linear layers, before the residual is added: `Tensor[..., dim]` to
        `Tensor[..., dim]`.
        """
        return super().forward(x)
