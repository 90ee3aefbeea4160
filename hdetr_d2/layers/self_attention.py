"""Multi-head self-attention, only among queries that may see each other."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.layers.attention import MultiHeadAttention, attend


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
        attend_group = _attend_beyond_blocks if span.sees else _attend_within_blocks
        outputs.append(attend_group(span, queries[place], k, v, dropout))
    return torch.cat(outputs, 1)


def _attend_within_blocks(
    span: Span, query: Tensor, key: Tensor, value: Tensor, dropout: float
) -> Tensor:
    """The same for one group: its blocks are folded into the batch."""
    layout = (span.blocks, span.size)
    q, k, v = (x.unflatten(1, layout).flatten(0, 1) for x in (query, key, value))
    return attend(q, k, v, None, dropout).reshape(query.shape)


def _attend_beyond_blocks(
    span: Span, query: Tensor, key: Tensor, value: Tensor, dropout: float
) -> Tensor:
    """The same for a group that sees others, whose keys come after its own. Groups of this kind are
    small (denoising), and a mask between their blocks costs less than keys repeated for each block.
    """
    block = torch.arange(query.shape[1], device=query.device) // span.size
    mask = F.pad(block[:, None] == block, (0, key.shape[1] - query.shape[1]), value=True)
    return attend(query, key, value, mask, dropout)


class SelfAttention(MultiHeadAttention):
    """Self-attention whose queries and keys carry a position and whose values do not, as in
    DETR.
    """

    def forward(self, x: Tensor, position: Tensor, groups: Layout | None = None) -> Tensor:
        """`Tensor[B, Q, C]` twice to `Tensor[B, Q, C]`; all see all unless `groups` says who."""
        query, key = self.project(x + position, 0, 1)
        (value,) = self.project(x, 2, 2)
        groups = groups or [Span(1, x.shape[1])]
        out = attend_within_groups(query, key, value, groups, self.active_dropout)
        return self.out_proj(out.flatten(2))
