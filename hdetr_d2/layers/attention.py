"""Multi-head attention over PyTorch's fused kernels."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.layers.linear import Linear
from hdetr_d2.ops import dropout as drop
from hdetr_d2.ops import linear


def attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, dropout: float = 0.0
) -> Tensor:
    """Attention of `Tensor[B, Q, H, D]` with H heads to keys and values `Tensor[B, N, H, D]`.

    Args:
        mask: bool, True where a query may look; or added to the scores, in their dtype. Broadcast
            to `[B, H, Q, N]`.
        dropout: of the attention weights.

    Returns:
        `Tensor[B, Q, H, D]`.
    """
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    if dropout and q.device.type == "cpu":
        return _attend_with_dropout(q, k, v, mask, dropout).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, mask, dropout).transpose(1, 2)


def _attend_with_dropout(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float) -> Tensor:
    """On a CPU PyTorch has no fused attention with dropout. `Tensor[B, H, Q, D]` each."""
    scores = (q / math.sqrt(q.shape[-1])) @ k.mT
    if mask is None:
        return drop(scores.softmax(-1), p) @ v
    added = mask if mask.is_floating_point() else torch.where(mask, 0.0, -math.inf).to(q)
    hidden = added == -math.inf
    # A query that sees nothing finds nothing, and no NaN.
    weights = (scores + added.masked_fill(hidden, torch.finfo(q.dtype).min)).softmax(-1)
    weights = weights.masked_fill(hidden, 0.0)
    return drop(weights, p) @ v


class MultiHeadAttention(nn.Module):
    """What attentions with dense weights share: the projections, and where they start.

    Args:
        dim: channels C, a multiple of `num_heads`.
        num_heads: attention heads H.
        dropout: of the attention weights, in training.
    """

    def __init__(self, *, dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels cannot be divided among {num_heads} attention heads.")
        self.num_heads = num_heads
        self.dropout = dropout
        # One matrix for queries, keys and values, so that its initialisation is that of one matrix.
        self.in_proj = Linear(dim, 3 * dim)
        self.out_proj = Linear(dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for layer in (self.in_proj, self.out_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def project(self, x: Tensor, first: int, last: int) -> tuple[Tensor, ...]:
        """Of query, key and value (0 to 2) those from `first` to `last`: `Tensor[B, N, C]` to
        `Tensor[B, N, H, D]` each.
        """
        number, dim = last + 1 - first, x.shape[-1]
        rows = slice(first * dim, (last + 1) * dim)
        projected = linear(x, self.in_proj.weight[rows], self.in_proj.bias[rows])
        return projected.unflatten(-1, (number, self.num_heads, -1)).unbind(2)

    @property
    def active_dropout(self) -> float:
        """That of this moment: none in evaluation."""
        return self.dropout if self.training else 0.0


class DenseAttention(MultiHeadAttention):
    """Attention to all tokens but the padded ones. Positions are the caller's."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor) -> Tensor:
        """`Tensor[B, Q, C]` to the same.

        Args:
            query: `Tensor[B, Q, C]`.
            key, value: `Tensor[B, S, C]`.
            padding: `Tensor[B, S]` bool, True for tokens that nobody sees.
        """
        inputs = enumerate((query, key, value))
        q, k, v = (self.project(x, part, part)[0] for part, x in inputs)
        out = attend(q, k, v, ~padding[:, None, None], self.active_dropout)
        return self.out_proj(out.flatten(2))

    def weights(self, query: Tensor, key: Tensor, padding: Tensor) -> Tensor:
        """How much each query looks at each token, `Tensor[B, H, Q, S]`; arguments as in
        `forward`, which never holds them.
        """
        q, k = (self.project(x, part, part)[0] for part, x in enumerate((query, key)))
        scores = torch.einsum("bqhd,bshd->bhqs", q, k) / math.sqrt(q.shape[-1])
        return scores.masked_fill(padding[:, None, None], -math.inf).softmax(-1)
