"""What a bias of self-attention is asked, and what it answers."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class QueryState(NamedTuple):
    """What is known of N queries in front of the self-attention of a layer.

    content, position: `Tensor[B, N, C]`, as they enter it. reference: where the queries stand,
    `Tensor[B, N, 2 or 4]` (cx, cy) or cxcywh in [0, 1]; of a decoder without references the boxes
    of the layer before, None in layer 0. logits: of the layer before, `Tensor[B, N, K]`; None in
    layer 0. boxes: up to two, `Tensor[B, N, 4]` each, the newest last: of the references that the
    queries started at, where those have a size, and the boxes of all layers before. Logits and
    boxes have gradients.
    """

    content: Tensor
    position: Tensor
    reference: Tensor | None = None
    logits: Tensor | None = None
    boxes: tuple[Tensor, ...] = ()

    @classmethod
    def join(cls, states: "Sequence[QueryState]") -> "QueryState":
        """That of all queries, those of one state after those of the other."""
        if len(states) == 1:
            return states[0]

        def cat(parts: Sequence[Tensor | None]) -> Tensor | None:
            return None if parts[0] is None else torch.cat(parts, 1)  # type: ignore[arg-type]

        *parts, boxes = zip(*states, strict=True)
        content, position, reference, logits = map(cat, parts)
        assert content is not None and position is not None
        newest = tuple(torch.cat(each, 1) for each in zip(*boxes, strict=True))
        return cls(content, position, reference, logits, newest)


class AttentionBias(Protocol):
    """What is added to the scores of a group's self-attention, asked in every decoder layer. A
    module that learns belongs to the scheme that makes the group, or to the decoder.
    """

    def __call__(self, layer: int, queries: QueryState, keys: QueryState) -> Tensor | None:
        """The bias of `layer`, rows for the N queries that look and columns for the M that are
        seen: `Tensor[B, N, M]` the same for all heads, or `Tensor[B, H, N, M]`; None for a layer
        without one. Of a group with T tokens there may be as many columns more.

        Args:
            layer: of the decoder, from 0 on.
            queries: those of the group.
            keys: the same, and behind them those of the groups that the group sees.
        """
