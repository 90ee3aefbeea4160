"""Mixed supervision (MS-DETR, https://arxiv.org/abs/2401.03989): the main queries learn one-to-many
in the middle of every decoder layer, before they are told of each other, and one-to-one behind it.
"""

from typing import Protocol

from torch import Tensor, nn

from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.structures import Assigner, Tap


class HasFeedForward(Protocol):
    """What a decoder layer is made of."""

    def feed_forward(self) -> nn.Module:
        """A new feed-forward half, `Tensor[..., C]` to the same."""


class MixedSupervision(Scheme):
    """What a query has found in the memory is read by the heads of the layer, too, and learns what
    the assigner says. There are no queries more, and at inference nothing is left of it.

    In the paper the layers attend to the memory first (`CrossFirst`), so that a query that learns
    one-to-many knows nothing of the others yet; this order is one of the decoder, at inference,
    too.

    Args:
        num_layers: of the decoder.
        assigner: of the one-to-many targets.
        sizes: of the decoder's layers, for a feed-forward half of the scheme's own in each, between
            the memory and the heads; None for none.
        weight: of the losses.
        name: of the group.

    Raises:
        ValueError: no layer.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        assigner: Assigner,
        sizes: HasFeedForward | None = None,
        weight: float = 1.0,
        name: str = "mixed",
    ) -> None:
        super().__init__(name)
        check_at_least(1, num_layers=num_layers)
        self.assigner = assigner
        self.weight = weight
        halves = [] if sizes is None else [sizes.feed_forward() for _ in range(num_layers)]
        self.feed_forwards = nn.ModuleList(halves)

    def contribute(self, context: Context) -> Contribution:
        branch = self.branch if len(self.feed_forwards) else None
        tap = Tap(name=self.name, assigner=self.assigner, weight=self.weight, branch=branch)
        return Contribution(taps=[tap])

    def branch(self, index: int, layer: nn.Module, found: Tensor) -> Tensor:
        """What the heads read; see `Branch`."""
        return self.feed_forwards[index](found)
