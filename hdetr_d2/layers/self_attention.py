"""Multi-head self-attention, only among queries that may see each other."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.layers.attention import MultiHeadAttention, attend

ScoreBias: TypeAlias = Callable[[Tensor, Tensor], Tensor | None]
"""From the content and the position of N queries, `Tensor[B, N, C]` each, to what is added to the
scores of their attention, `Tensor[B, N, N]`; None for nothing.
"""


class Span(NamedTuple):
    """A group in a row of queries.

    blocks, size: so many blocks of so many queries, each blind to the other blocks. sees: places in
    the row of the groups whose queries all of its blocks see, too. bias: of one block that sees
    itself alone; None for none.
    """

    blocks: int
    size: int
    sees: tuple[int, ...] = ()
    bias: ScoreBias | None = None


Layout: TypeAlias = Sequence[Span]
"""The groups of a row of queries, one after the other."""


def attend_within_groups(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: Layout,
    biases: Sequence[Tensor | None] | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """Attention of every query to those of its own block and of the groups that its group sees.

    Next to nothing is computed for the pairs that a mask over everything would forbid: the cost is
    the sum of the squares of the blocks, not the square of the sum.

    Args:
        query, key, value: `Tensor[B, Q, H, D]` with H heads.
        groups: how the Q queries are divided.
        biases: of the scores of each group, `Tensor[B, N, N]`, where it has one.
        dropout: of the attention weights.

    Returns:
        `Tensor[B, Q, H, D]`.
    """
    sizes = [span.blocks * span.size for span in groups]
    queries, keys, values = (x.split(sizes, 1) for x in (query, key, value))
    outputs = []
    for place, (span, bias) in enumerate(zip(groups, biases or [None] * len(groups), strict=True)):
        seen = (place, *span.sees)
        k, v = (
            torch.cat([x[i] for i in seen], 1) if span.sees else x[place] for x in (keys, values)
        )
        if span.sees:
            outputs.append(_attend_beyond_blocks(span, queries[place], k, v, dropout))
        else:
            outputs.append(_attend_within_blocks(span, queries[place], k, v, bias, dropout))
    return torch.cat(outputs, 1)


def _attend_within_blocks(
    span: Span, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, dropout: float
) -> Tensor:
    """The same for one group: its blocks are folded into the batch."""
    layout = (span.blocks, span.size)
    q, k, v = (x.unflatten(1, layout).flatten(0, 1) for x in (query, key, value))
    mask = None if bias is None else bias[:, None].to(query.dtype)  # the same for all heads
    return attend(q, k, v, mask, dropout).reshape(query.shape)


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
        biases = _biases(x, position, groups)
        out = attend_within_groups(query, key, value, groups, biases, self.active_dropout)
        return self.out_proj(out.flatten(2))


def _biases(x: Tensor, position: Tensor, groups: Layout) -> list[Tensor | None] | None:
    """That of each group."""
    if all(span.bias is None for span in groups):
        return None
    sizes = [span.blocks * span.size for span in groups]
    parts = zip(groups, x.split(sizes, 1), position.split(sizes, 1), strict=True)
    return [span.bias(*part) if span.bias is not None else None for span, *part in parts]
