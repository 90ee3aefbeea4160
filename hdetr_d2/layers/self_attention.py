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
from hdetr_d2.ops import dropout as drop

KeysAndValues: TypeAlias = tuple[Tensor, Tensor] | tuple[()]
"""Those of tokens, `Tensor[1, T, H, D]` each, or of none."""


class Span(NamedTuple):
    """A group in a row of queries.

    blocks, size: so many blocks of so many queries, each blind to the other blocks. sees: places in
    the row of the groups whose queries all of its blocks see, too. The rest is for one block of N
    queries that sees itself alone. bias: asked in every layer with (layer, content, position,
    reference, logits) for what is added to the scores, `Tensor[B, N, N]` or None for nothing.
    padding: `Tensor[B, 1, N]` bool, True for queries that nobody sees. own: parts of a decoder
    layer that are the group's own, by name, called with (layer, `Tensor[B, N, ...]`). tokens: asked
    in every layer for content and position, `Tensor[T, C]` each, of further keys for every block.
    """

    blocks: int
    size: int
    sees: tuple[int, ...] = ()
    bias: Callable[..., Tensor | None] | None = None
    padding: Tensor | None = None
    own: Mapping[str, Callable[[int, Tensor], Tensor]] = MappingProxyType({})
    tokens: Callable[[int], tuple[Tensor, Tensor]] | None = None

    def added(self, layer: int, *asked: Tensor | None) -> Tensor | None:
        """What bias and padding add to the scores: `Tensor[B, N, N]`, or `Tensor[B, 1, N]` where
        the bias has nothing to say.
        """
        scores = None if self.bias is None else self.bias(layer, *asked)
        if self.padding is None:
            return scores
        if scores is None:
            scores = torch.zeros_like(self.padding, dtype=torch.float32)
        return scores.masked_fill(self.padding, -math.inf)

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
                torch.cat([x, token.expand(len(x), -1, -1, -1)], 1)
                for x, token in zip((k, v), tokens, strict=True)
            )
            added = None if added is None else F.pad(added, (0, k.shape[1] - self.size))
        mask = None if added is None else added[:, None].to(query.dtype)  # the same for all heads
        return attend(q, k, v, mask, dropout).reshape(query.shape)

    def attend_beyond_blocks(
        self, query: Tensor, key: Tensor, value: Tensor, dropout: float
    ) -> Tensor:
        """That of a group that sees others, whose keys come after its own. Groups of this kind are
        small (denoising), and a mask between their blocks costs less than keys repeated for each
        block.
        """
        block = torch.arange(query.shape[1], device=query.device) // self.size
        mask = F.pad(block[:, None] == block, (0, key.shape[1] - query.shape[1]), value=True)
        return attend(query, key, value, mask, dropout)


class Layout(NamedTuple):
    """The groups of a row of Q queries, one after the other, and what else their biases are told.

    layer: of the decoder. reference: where the queries stand, `Tensor[B, Q, 2 or 4]`. logits: of
    the layer before, `Tensor[B, Q, K]`.
    """

    spans: Sequence[Span]
    layer: int = 0
    reference: Tensor | None = None
    logits: Tensor | None = None

    def split(self, *rows: Tensor | None) -> list[Sequence[Any]]:
        """The parts of the groups, of each of the rows; None of a row that is not there."""
        sizes = [span.blocks * span.size for span in self.spans]
        return [[None] * len(sizes) if row is None else row.split(sizes, 1) for row in rows]

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
    biased = any(span.bias is not None for span in layout.spans)
    asked = (*inputs, layout.reference, layout.logits) if biased else ()
    queries, keys, values, *told = layout.split(query, key, value, *asked)
    outputs = []
    for place, span in enumerate(layout.spans):
        further = tokens[place] if tokens else ()
        if span.sees:
            seen = [(keys[i], values[i]) for i in (place, *span.sees)]
            if further:
                k, v = (token.expand(len(query), -1, -1, -1) for token in further)
                seen.append((k, v))
            k, v = (torch.cat(parts, 1) for parts in zip(*seen, strict=True))
            outputs.append(span.attend_beyond_blocks(queries[place], k, v, dropout))
        else:
            added = span.added(layout.layer, *(parts[place] for parts in told))
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
