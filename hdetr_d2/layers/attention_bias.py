"""The interface of self-attention biases."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class QueryState(NamedTuple):
    """What is known about N queries before the self-attention of a layer.

    content, position: `Tensor[B, N, C]`, the layer's inputs. reference: reference points or boxes,
    `Tensor[B, N, 2 or 4]` (cx, cy) or cxcywh in [0, 1]; in a decoder without references the boxes
    of the previous layer, None in layer 0. logits: of the previous layer, `Tensor[B, N, K]`; None
    in layer 0. boxes: the latest two at most, `Tensor[B, N, 4]` each, newest last: the initial
    references, if these are boxes, then the boxes of each previous layer. Logits and boxes carry
    gradients.
    """

    content: Tensor
    position: Tensor
    reference: Tensor | None = None
    logits: Tensor | None = None
    boxes: tuple[Tensor, ...] = ()

    @classmethod
    def join(cls, states: "Sequence[QueryState]") -> "QueryState":
        """The states of all queries, concatenated."""
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
    """A bias added to the scores of a group's self-attention, requested in every decoder layer. A
    bias with parameters is a submodule of the scheme that creates the group, or of the decoder.
    """

    def __call__(self, layer: int, queries: QueryState, keys: QueryState) -> Tensor | None:
        """The bias of `layer`, with a row for each of the N queries and a column for each of the M
        keys: `Tensor[B, N, M]`, shared by all heads, or `Tensor[B, H, N, M]`; None if the layer has
        none. For a group with T tokens there may be T more columns.

        Args:
            layer: index of the decoder layer.
            queries: of the group.
            keys: the same queries, followed by those of the groups that the group attends to.
        """
