"""What a group has for itself inside the decoder. The modules belong to the scheme that makes the
group, and a checkpoint for inference is without them.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from torch import Tensor

PartOfLayer: TypeAlias = Callable[[int, Tensor], Tensor]
"""From the decoder layer, 0 the first, and `Tensor[B, N, ...]` of the group's queries."""

OWN_PARTS = ("self_norm", "feed_forward", "class_logits", "box_deltas")
"""What may be a group's own: the norm of self-attention, the feed-forward branch between the norm
and the sum, both `Tensor[B, N, C]` to the same; and what heads read from the states, the logits
`Tensor[B, N, K]` and the box deltas `Tensor[B, N, 4]`. Everything else all groups share.
"""


class KeyTokens(Protocol):
    """Learned tokens that the queries of a group find among each other in self-attention."""

    def __call__(self, layer: int) -> tuple[Tensor, Tensor]:
        """Content and position of those of `layer`, `Tensor[T, C]` each, the same for all images.
        Content and position make a token's key, the content its value, as with queries.
        """
