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
    """Attention from queries `Tensor[B, Q, H, D]` with H heads to keys and values
    `Tensor[B, N, H, D]`.

    Args:
        mask: bool, True where a query may attend; or a float mask added to the scores, in their
            dtype. Broadcast to `[B, H, Q, N]`.
        dropout: of the attention weights.

    Returns:
        `Tensor[B, Q, H, D]`.
    """
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    if dropout and q.device.type == "cpu":
        return _attend_with_dropout(q, k, v, mask, dropout).transpose(1, 2)
    return F.scaled_dot_product_attention(q, k, v, mask, dropout).transpose(1, 2)


def _attend_with_dropout(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, p: float) -> Tensor:
    """For CPUs, where PyTorch has no fused attention with dropout. Arguments are
    `Tensor[B, H, Q, D]`.
    """
    scores = (q / math.sqrt(q.shape[-1])) @ k.mT
    if mask is None:
        return drop(scores.softmax(-1), p) @ v
    added = mask if mask.is_floating_point() else torch.where(mask, 0.0, -math.inf).to(q)
    hidden = added == -math.inf
    # A query that may attend to nothing gets zeros instead of NaN.
    weights = (scores + added.masked_fill(hidden, torch.finfo(q.dtype).min)).softmax(-1)
    weights = weights.masked_fill(hidden, 0.0)
    return drop(weights, p) @ v


class MultiHeadAttention(nn.Module):
    """What attention modules with dense weights share: the projections and their initialisation.

    Args:
        dim: channels C, a multiple of `num_heads`.
        num_heads: attention heads H.
        dropout: of the attention weights, in training only.
    """

    def __init__(self, *, dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels cannot be divided among {num_heads} attention heads.")
        self.num_heads = num_heads
        self.dropout = dropout
        # One matrix for queries, keys and values, so that it is initialised as one matrix.
        self.in_proj = Linear(dim, 3 * dim)
        self.out_proj = Linear(dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for layer in (self.in_proj, self.out_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def project(self, *parts: tuple[Tensor, int]) -> list[Tensor]:
        """Projects inputs to queries, keys and values, in this order. Each pair is a
        `Tensor[B, N, C]` and the number of consecutive projections to apply to it; trailing ones
        may be omitted. Returns `Tensor[B, N, H, D]` each.
        """
        dim = parts[0][0].shape[-1]
        sizes = [number * dim for _, number in parts]
        if left_out := 3 * dim - sum(sizes):
            sizes.append(left_out)
        # The gradient of a split is one concatenation; that of slices would be several zero-filled
        # matrices.
        weights, biases = self.in_proj.weight.split(sizes), self.in_proj.bias.split(sizes)
        projected: list[Tensor] = []
        for (x, number), weight, bias in zip(parts, weights, biases, strict=False):
            rows = linear(x, weight, bias)
            # A single chunk would be a view, whose gradient is copied.
            own = rows.chunk(number, -1) if number > 1 else [rows]
            projected.extend(part.unflatten(-1, (self.num_heads, -1)) for part in own)
        return projected

    @property
    def active_dropout(self) -> float:
        """The dropout rate that currently applies: 0 in evaluation."""
        return self.dropout if self.training else 0.0


class DenseAttention(MultiHeadAttention):
    """Attention to all tokens except padding. Positions are added by the caller."""

    def forward(self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor) -> Tensor:
        """`Tensor[B, Q, C]` to `Tensor[B, Q, C]`.

        Args:
            query: `Tensor[B, Q, C]`.
            key, value: `Tensor[B, S, C]`.
            padding: `Tensor[B, S]` bool, True for tokens that are masked out.
        """
        q, k, v = self.project((query, 1), (key, 1), (value, 1))
        out = attend(q, k, v, ~padding[:, None, None], self.active_dropout)
        return self.out_proj(out.flatten(2))

    def weights(self, query: Tensor, key: Tensor, padding: Tensor) -> Tensor:
        """The attention weights, `Tensor[B, H, Q, S]`; arguments as in `forward`, which never
        materialises them.
        """
        q, k = self.project((query, 1), (key, 1))
        scores = torch.einsum("bqhd,bshd->bhqs", q, k) / math.sqrt(q.shape[-1])
        return scores.masked_fill(padding[:, None, None], -math.inf).softmax(-1)
