"""Multi-head self-attention over PyTorch's fused kernels, among queries of one group only."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Layout: TypeAlias = Sequence[tuple[int, int]]
"""The groups of a row of queries, one after the other: how many blocks, of how many queries."""


def attend_within_groups(
    query: Tensor, key: Tensor, value: Tensor, groups: Layout, dropout: float = 0.0
) -> Tensor:
    """Attention of every query to those of its own block, as a mask would have it.

    Nothing is computed for the pairs that a mask would forbid: the cost is the sum of the squares
    of the blocks, not the square of the sum.

    Args:
        query, key, value: `Tensor[B, Q, H, D]` with H heads.
        groups: the blocks of the Q queries.
        dropout: of the attention weights.

    Returns:
        `Tensor[B, Q, H, D]`.
    """
    sizes = [blocks * size for blocks, size in groups]
    queries, keys, values = (x.split(sizes, 1) for x in (query, key, value))
    parts = zip(groups, queries, keys, values, strict=True)
    return torch.cat([_attend_within_blocks(*part, dropout) for part in parts], 1)


def _attend_within_blocks(
    layout: tuple[int, int], query: Tensor, key: Tensor, value: Tensor, dropout: float
) -> Tensor:
    """The same for one group: its R blocks of N queries are folded into the batch."""
    q, k, v = (x.unflatten(1, layout).flatten(0, 1).transpose(1, 2) for x in (query, key, value))
    out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)  # [B * R, H, N, D]
    return out.transpose(1, 2).reshape(query.shape)


class SelfAttention(nn.Module):
    """Self-attention whose queries and keys carry a position and whose values do not, as in DETR.

    Args:
        dim: channels C, a multiple of `num_heads`.
        num_heads: attention heads.
        dropout: of the attention weights, in training.
    """

    def __init__(self, *, dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels cannot be divided among {num_heads} attention heads.")
        self.num_heads = num_heads
        self.dropout = dropout
        # One matrix for queries, keys and values, so that its initialisation is that of one matrix.
        self.in_proj = nn.Linear(dim, 3 * dim)
        self.out_proj = nn.Linear(dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for layer in (self.in_proj, self.out_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, position: Tensor, groups: Layout | None = None) -> Tensor:
        """`Tensor[B, Q, C]` twice to `Tensor[B, Q, C]`; all see all unless `groups` says who."""
        dim = x.shape[-1]
        weight, bias = self.in_proj.weight, self.in_proj.bias
        query, key = F.linear(x + position, weight[: 2 * dim], bias[: 2 * dim]).chunk(2, -1)
        value = F.linear(x, weight[2 * dim :], bias[2 * dim :])
        query, key, value = (t.unflatten(-1, (self.num_heads, -1)) for t in (query, key, value))
        dropout = self.dropout if self.training else 0.0
        out = attend_within_groups(query, key, value, groups or [(1, x.shape[1])], dropout)
        return self.out_proj(out.flatten(2))
