"""Parts of the decoder that a group can replace. The modules belong to the scheme that creates the
group, and are not part of an inference checkpoint.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from torch import Tensor

PartOfLayer: TypeAlias = Callable[[int, Tensor], Tensor]
"""Called with the index of the decoder layer, and `Tensor[B, N, ...]` of the group's queries."""

OWN_PARTS = ("self_norm", "feed_forward", "class_logits", "box_deltas")
"""The parts that a group can replace: the norm after self-attention and the feed-forward branch
(before the residual), both `Tensor[B, N, C]` to `Tensor[B, N, C]`; and the heads, from states to
logits `Tensor[B, N, K]` and box deltas `Tensor[B, N, 4]`. Everything else is shared by all groups.
"""


class KeyTokens(Protocol):
    """Learned tokens that serve as additional keys in the self-attention of a group."""

    def __call__(self, layer: int) -> tuple[Tensor, Tensor]:
        """Content and position of the tokens of `layer`, `Tensor[T, C]` each, shared by all images.
        As with queries, a token's key is made of content and position, its value of the content.
        """
