"""Mixed supervision (MS-DETR, https://arxiv.org/abs/2401.03989): the main queries learn one-to-many
assignment in the middle of every decoder layer, before they interact, and one-to-one assignment at
its end.
"""

from typing import Protocol

from torch import Tensor, nn

from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.structures import Assigner, Tap


class HasFeedForward(Protocol):
    """Builds the feed-forward network of a decoder layer."""

    def feed_forward(self) -> nn.Module:
        """A new feed-forward network, `Tensor[..., C]` to `Tensor[..., C]`."""


class MixedSupervision(Scheme):
    """The heads of a layer also read what a query has gathered from the memory, and learn it by the
    given assigner. This adds no queries, and nothing remains of it at inference.

    In the paper, layers attend to the memory first (`CrossFirst`), so that one-to-many queries know
    nothing of each other yet. That order belongs to the decoder and also applies at inference.

    Args:
        num_layers: of the decoder.
        assigner: of the one-to-many objective.
        sizes: of the decoder's layers; adds an extra feed-forward network in each layer, between
            the cross-attention and the heads. None adds none.
        weight: of the losses.
        name: of the group.

    Raises:
        ValueError: fewer than one layer.
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
