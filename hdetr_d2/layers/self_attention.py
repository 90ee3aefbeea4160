"""Multi-head self-attention restricted to queries that may see each other."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.layers.attention import MultiHeadAttention, attend
from hdetr_d2.layers.attention_bias import AttentionBias, QueryState
from hdetr_d2.ops import dropout as drop

KeysAndValues: TypeAlias = tuple[Tensor, Tensor] | tuple[()]
"""Keys and values of tokens, `Tensor[1, T, H, D]` each, or nothing."""


class Entry(NamedTuple):
    """How a group enters the row after the first layer: the queries of the groups at the places
    `of`, in their state after `passed` layers, continue from `layer` on.
    """

    layer: int
    passed: int
    of: tuple[int, ...]


class Span(NamedTuple):
    """The part of a row of queries that belongs to one group.

    blocks, size: number of blocks and queries per block; blocks do not attend to each other. sees:
    indices, in the row, of other groups that all of its blocks attend to. bias: called in every
    layer for a bias of the scores; of a group that attends to no other group, it covers a single
    block. padding: `Tensor[B, 1, N]` bool, True for queries that nobody attends to, for a group of
    one block of N queries that attends only to itself. own: layer parts that belong to the group,
    by name, called with (layer, `Tensor[B, N, ...]`). tokens: called in every layer for content and
    position, `Tensor[T, C]` each, of additional keys for every block. entry: of a group that enters
    after the first layer. attends: whether its queries have self-attention. branches_from: index of
    the group that its queries branch off from, see `attend_or_pass`.
    """

    blocks: int
    size: int
    sees: tuple[int, ...] = ()
    bias: AttentionBias | None = None
    padding: Tensor | None = None
    own: Mapping[str, Callable[[int, Tensor], Tensor]] = MappingProxyType({})
    tokens: Callable[[int], tuple[Tensor, Tensor]] | None = None
    entry: Entry | None = None
    attends: bool = True
    branches_from: int | None = None

    def added(self, layer: int, seen: Sequence[QueryState]) -> Tensor | None:
        """The sum of bias and padding mask, broadcast to `Tensor[B, H, N, M]`.

        Args:
            seen: states of the group's own queries, then of each group it attends to; unused
                without a bias.
        """
        scores = None if self.bias is None else self.bias(layer, seen[0], QueryState.join(seen))
        if scores is not None and scores.dim() == 3:
            scores = scores[:, None]  # shared by all heads
        if self.padding is None:
            return scores
        padding = self.padding[:, None]
        if scores is None:
            scores = torch.zeros_like(padding, dtype=torch.float32)
        return scores.masked_fill(padding, -math.inf)

    def attend_within_blocks(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        added: Tensor | None,
        dropout: float,
        tokens: KeysAndValues = (),
    ) -> Tensor:
        """Attention of a group that attends only to itself and its tokens: its blocks are folded
        into the batch.
        """
        if self.size == 1 and added is None and not tokens:  # all the weight is on the only key
            return value * drop(torch.ones_like(value[..., :1]), dropout) if dropout else value
        blocks = (self.blocks, self.size)
        q, k, v = (x.unflatten(1, blocks).flatten(0, 1) for x in (query, key, value))
        if tokens:
            k, v = (
                torch.cat([x, token.expand(x.shape[0], -1, -1, -1)], 1)
                for x, token in zip((k, v), tokens, strict=True)
            )
            if added is not None:  # zeros for tokens not covered by the bias
                added = F.pad(added, (0, k.shape[1] - added.shape[-1]))
        mask = None if added is None else added.to(query.dtype)
        return attend(q, k, v, mask, dropout).reshape(query.shape)

    def attend_beyond_blocks(
        self, query: Tensor, key: Tensor, value: Tensor, added: Tensor | None, dropout: float
    ) -> Tensor:
        """Attention of a group that attends to other groups, whose keys follow its own. Such groups
        are small (denoising), and a mask between their blocks costs less than repeating the keys
        for each block.
        """
        block = torch.arange(query.shape[1], device=query.device) // self.size
        mask = F.pad(block[:, None] == block, (0, key.shape[1] - query.shape[1]), value=True)
        if added is not None:
            added = F.pad(added, (0, key.shape[1] - added.shape[-1]))
            mask = added.to(query.dtype).masked_fill(~mask, -math.inf)
        return attend(query, key, value, mask, dropout)


class Layout(NamedTuple):
    """The groups in a row of Q queries, in order, and the inputs of their biases; see `QueryState`.

    layer: index of the decoder layer. reference: `Tensor[B, Q, 2 or 4]`. logits: `Tensor[B, Q, K]`.
    boxes: `Tensor[B, Q, 4]` each, None where they do not exist yet.
    """

    spans: Sequence[Span]
    layer: int = 0
    reference: Tensor | None = None
    logits: Tensor | None = None
    boxes: Sequence[Tensor | None] = ()

    @property
    def biased(self) -> bool:
        """Whether any group has a bias."""
        return any(span.bias is not None for span in self.spans)

    def split(self, *rows: Tensor | None) -> list[Sequence[Any]]:
        """Each row split by groups; None for a row that is missing."""
        sizes = [span.blocks * span.size for span in self.spans]
        return [[None] * len(sizes) if row is None else row.split(sizes, 1) for row in rows]

    def states(self, content: Tensor, position: Tensor) -> list[QueryState]:
        """The query state of each group, from content and position `Tensor[B, Q, C]`."""
        told = zip(*self.split(content, position, self.reference, self.logits), strict=True)
        boxes = self.split(*(row for row in self.boxes if row is not None))
        return [
            QueryState(x, at, reference, logits, tuple(each[place] for each in boxes))
            for place, (x, at, reference, logits) in enumerate(told)
        ]

    def own(self, name: str, shared: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """`shared`, unless groups have a part of this name of their own: then a function that
        applies theirs to their queries, and `shared` to all others in one piece.
        """
        own = [span.own.get(name) for span in self.spans]
        return partial(self._apply, own, shared) if any(own) else shared

    def _apply(
        self,
        own: Sequence[Callable[[int, Tensor], Tensor] | None],
        shared: Callable[[Tensor], Tensor],
        x: Tensor,
    ) -> Tensor:
        (parts,) = self.split(x)
        others = [part for part, mine in zip(parts, own, strict=True) if mine is None]
        shares = iter(())
        if others:
            shares = iter(shared(torch.cat(others, 1)).split([o.shape[1] for o in others], 1))
        pairs = zip(parts, own, strict=True)
        return torch.cat(
            [mine(self.layer, part) if mine else next(shares) for part, mine in pairs], 1
        )


def attend_within_groups(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    layout: Layout,
    inputs: Sequence[Tensor] = (),
    dropout: float = 0.0,
    tokens: Sequence[KeysAndValues] = (),
) -> Tensor:
    """Attention of every query to its own block, the groups that its group attends to, and its
    group's tokens.

    Almost nothing is computed for pairs that a full mask would forbid: the cost is the sum of the
    squared block sizes, not the square of their sum.

    Args:
        query, key, value: `Tensor[B, Q, H, D]` with H heads.
        layout: how the Q queries are divided into groups.
        inputs: content and position, `Tensor[B, Q, C]` each, if a group has a bias.
        dropout: of the attention weights.
        tokens: keys and values of each group's tokens; empty if no group has any.

    Returns:
        `Tensor[B, Q, H, D]`.
    """
    states = layout.states(*inputs) if layout.biased else []
    queries, keys, values = layout.split(query, key, value)
    outputs = []
    for place, span in enumerate(layout.spans):
        further = tokens[place] if tokens else ()
        places = (place, *span.sees)
        added = span.added(layout.layer, [states[i] for i in places] if states else ())
        if span.sees:
            seen = [(keys[i], values[i]) for i in places]
            if further:
                k, v = (token.expand(query.shape[0], -1, -1, -1) for token in further)
                seen.append((k, v))
            k, v = (torch.cat(parts, 1) for parts in zip(*seen, strict=True))
            outputs.append(span.attend_beyond_blocks(queries[place], k, v, added, dropout))
        else:
            qkv = (queries[place], keys[place], values[place])
            outputs.append(span.attend_within_blocks(*qkv, added, dropout, further))
    return torch.cat(outputs, 1)


class SelfAttention(MultiHeadAttention):
    """Self-attention whose queries and keys include positions and whose values do not, as in
    DETR.
    """

    def forward(self, x: Tensor, position: Tensor, layout: Layout | None = None) -> Tensor:
        """`Tensor[B, Q, C]` twice to `Tensor[B, Q, C]`; all queries attend to each other unless
        `layout` restricts them.
        """
        query, key, value = self.project((x + position, 2), (x, 1))
        layout = layout or Layout([Span(1, x.shape[1])])
        out = attend_within_groups(
            query, key, value, layout, (x, position), self.active_dropout, self._tokens(layout)
        )
        return self.out_proj(out.flatten(2))

    def _tokens(self, layout: Layout) -> list[KeysAndValues]:
        """Keys and values of each group's tokens. Tokens need no queries: what they would gather is
        never used.
        """
        if not any(span.tokens for span in layout.spans):
            return []
        return [self._keys_and_values(span, layout.layer) for span in layout.spans]

    def _keys_and_values(self, span: Span, layer: int) -> KeysAndValues:
        if span.tokens is None:
            return ()
        content, position = span.tokens(layer)
        _, key, value = self.project(((content + position)[None], 2), (content[None], 1))
        return key, value
