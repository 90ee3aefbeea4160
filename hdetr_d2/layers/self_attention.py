"""Multi-head self-attention over PyTorch's fused kernels, only among queries that may see each
other.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Span(NamedTuple):
    """A group in a row of queries.

    blocks, size: so many blocks of so many queries, each blind to the other blocks. sees: places in
    the row of the groups whose queries all of its blocks see, too.
    """

    blocks: int
    size: int
    sees: tuple[int, ...] = ()


Layout: TypeAlias = Sequence[Span]
"""The groups of a row of queries, one after the other."""


def attend_within_groups(
    query: Tensor, key: Tensor, value: Tensor, groups: Layout, dropout: float = 0.0
) -> Tensor:
    """Attention of every query to those of its own block and of the groups that its group sees.

    Next to nothing is computed for the pairs that a mask over everything would forbid: the cost is
    the sum of the squares of the blocks, not the square of the sum.

    Args:
        query, key, value: `Tensor[B, Q, H, D]` with H heads.
        groups: how the Q queries are divided.
        dropout: of the attention weights.

    Returns:
        `Tensor[B, Q, H, D]`.
    """
    sizes = [span.blocks * span.size for span in groups]
    queries, keys, values = (x.split(sizes, 1) for x in (query, key, value))
    outputs = []
    for place, span in enumerate(groups):
        seen = (place, *span.sees)
        k, v = (
            torch.cat([x[i] for i in seen], 1) if span.sees else x[place] for x in (keys, values)
        )
        attend = _attend_beyond_blocks if span.sees else _attend_within_blocks
        outputs.append(attend(span, queries[place], k, v, dropout))
    return torch.cat(outputs, 1)


def _attend_within_blocks(
    span: Span, query: Tensor, key: Tensor, value: Tensor, dropout: float
) -> Tensor:
    """The same for one group: its blocks are folded into the batch."""
    layout = (span.blocks, span.size)
    q, k, v = (x.unflatten(1, layout).flatten(0, 1) for x in (query, key, value))
    return _attend(q, k, v, None, dropout).reshape(query.shape)


def _attend_beyond_blocks(
    span: Span, query: Tensor, key: Tensor, value: Tensor, dropout: float
) -> Tensor:
    """The same for a group that sees others, whose keys come after its own. Groups of this kind are
    small (denoising), and a mask between their blocks costs less than keys repeated for each block.
    """
    block = torch.arange(query.shape[1], device=query.device) // span.size
    mask = F.pad(block[:, None] == block, (0, key.shape[1] - query.shape[1]), value=True)
    return _attend(query, key, value, mask, dropout)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float
) -> Tensor:
    """Of `Tensor[B, Q, H, D]` to `Tensor[B, N, H, D]`, where `mask` `Tensor[Q, N]` allows it."""
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v, mask, dropout).transpose(1, 2)


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
        out = attend_within_groups(query, key, value, groups or [Span(1, x.shape[1])], dropout)
        return self.out_proj(out.flatten(2))
