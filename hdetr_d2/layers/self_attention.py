"""Multi-head self-attention, only among queries that may see each other."""

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
"""Those of tokens, `Tensor[1, T, H, D]` each, or of none."""


class Entry(NamedTuple):
    """How a group comes into the row after the first layer: the queries of the groups at the places
    `of`, as they were after `passed` layers, go on from `layer` on.
    """

    layer: int
    passed: int
    of: tuple[int, ...]


class Span(NamedTuple):
    """A group in a row of queries.

    blocks, size: so many blocks of so many queries, each blind to the other blocks. sees: places in
    the row of the groups whose queries all of its blocks see, too. bias: asked in every layer for
    what is added to the scores; of blocks that see nobody else it is for a single one. padding:
    `Tensor[B, 1, N]` bool, True for queries that nobody sees, of one block of N that sees itself
    alone. own: parts of a decoder layer that are the group's own, by name, called with (layer,
    `Tensor[B, N, ...]`). tokens: asked in every layer for content and position, `Tensor[T, C]`
    each, of further keys for every block. entry: of a group that is not there from the first layer
    on. attends: whether its queries have self-attention. branches_from: the place of the group that
    its queries branch off from, see `attend_or_pass`.
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
        """What bias and padding add to the scores, broadcast to `Tensor[B, H, N, M]`.

        Args:
            seen: the own queries, then those of each group that is seen; not asked for where there
                is no bias.
        """
        scores = None if self.bias is None else self.bias(layer, seen[0], QueryState.join(seen))
        if scores is not None and scores.dim() == 3:
            scores = scores[:, None]  # the same for all heads
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
        """Attention of a group that sees itself alone, and tokens: its blocks are folded into the
        batch.
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
            if added is not None:  # nothing for tokens of which the bias does not speak
                added = F.pad(added, (0, k.shape[1] - added.shape[-1]))
        mask = None if added is None else added.to(query.dtype)
        return attend(q, k, v, mask, dropout).reshape(query.shape)

    def attend_beyond_blocks(
        self, query: Tensor, key: Tensor, value: Tensor, added: Tensor | None, dropout: float
    ) -> Tensor:
        """That of a group that sees others, whose keys come after its own. Groups of this kind are
        small (denoising), and a mask between their blocks costs less than keys repeated for each
        block.
        """
        block = torch.arange(query.shape[1], device=query.device) // self.size
        mask = F.pad(block[:, None] == block, (0, key.shape[1] - query.shape[1]), value=True)
        if added is not None:
            added = F.pad(added, (0, key.shape[1] - added.shape[-1]))
            mask = added.to(query.dtype).masked_fill(~mask, -math.inf)
        return attend(query, key, value, mask, dropout)


class Layout(NamedTuple):
    """The groups of a row of Q queries, one after the other, and what else their biases are told;
    see `QueryState`.

    layer: of the decoder. reference: `Tensor[B, Q, 2 or 4]`. logits: `Tensor[B, Q, K]`. boxes:
    `Tensor[B, Q, 4]` each, None for those that there are not yet.
    """

    spans: Sequence[Span]
    layer: int = 0
    reference: Tensor | None = None
    logits: Tensor | None = None
    boxes: Sequence[Tensor | None] = ()

    @property
    def biased(self) -> bool:
        """Whether a group has a bias."""
        return any(span.bias is not None for span in self.spans)

    def split(self, *rows: Tensor | None) -> list[Sequence[Any]]:
        """The parts of the groups, of each of the rows; None of a row that is not there."""
        sizes = [span.blocks * span.size for span in self.spans]
        return [[None] * len(sizes) if row is None else row.split(sizes, 1) for row in rows]

    def states(self, content: Tensor, position: Tensor) -> list[QueryState]:
        """What is known of the queries of each group; `Tensor[B, Q, C]` twice."""
        told = zip(*self.split(content, position, self.reference, self.logits), strict=True)
        boxes = self.split(*(row for row in self.boxes if row is not None))
        return [
            QueryState(x, at, reference, logits, tuple(each[place] for each in boxes))
            for place, (x, at, reference, logits) in enumerate(told)
        ]

    def own(self, name: str, shared: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """`shared`; where groups have a part of this name for themselves, what applies theirs to
        their queries, and `shared` to all others in one piece.
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
    """Attention of every query to those of its own block and of the groups that its group sees, and
    to the tokens of its group.

    Next to nothing is computed for the pairs that a mask over everything would forbid: the cost is
    the sum of the squares of the blocks, not the square of the sum.

    Args:
        query, key, value: `Tensor[B, Q, H, D]` with H heads.
        layout: how the Q queries are divided.
        inputs: content and position, `Tensor[B, Q, C]` each, where a group has a bias.
        dropout: of the attention weights.
        tokens: of each group; none where no group has any.

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
    """Self-attention whose queries and keys carry a position and whose values do not, as in
    DETR.
    """

    def forward(self, x: Tensor, position: Tensor, layout: Layout | None = None) -> Tensor:
        """`Tensor[B, Q, C]` twice to `Tensor[B, Q, C]`; all see all unless `layout` says who."""
        query, key, value = self.project((x + position, 2), (x, 1))
        layout = layout or Layout([Span(1, x.shape[1])])
        out = attend_within_groups(
            query, key, value, layout, (x, position), self.active_dropout, self._tokens(layout)
        )
        return self.out_proj(out.flatten(2))

    def _tokens(self, layout: Layout) -> list[KeysAndValues]:
        """Of each group. That tokens ask, too, and what they find would change nothing: it is what
        queries find that goes on.
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
