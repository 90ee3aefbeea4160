"""A low-rank branch (LoRA-DETR, https://arxiv.org/abs/2601.09247): in training, the main queries
pass the feed-forward network of every decoder layer a second time, with low-rank additions to its
weights that learn one-to-many assignment.
"""

from functools import partial
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.layers import FeedForward, Linear
from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.structures import Assigner, Tap


class LowRankBranch(Scheme):
    """The paper's model has three branches that differ in their assigners, each with a third of the
    weight. The layer's own weights learn from the branch as well, and are all that remains at
    inference.

    Args:
        num_layers: of the decoder.
        dim, hidden_dim: channels of the feed-forward networks.
        rank: of the additions.
        assigner: of the branch.
        weight: of its losses.
        name: of its group.

    Raises:
        ValueError: fewer than one layer, or a rank below one.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        dim: int,
        hidden_dim: int,
        rank: int,
        assigner: Assigner,
        weight: float = 1.0,
        name: str = "low_rank",
    ) -> None:
        super().__init__(name)
        check_at_least(1, num_layers=num_layers, rank=rank)
        self.assigner = assigner
        self.weight = weight
        self.to_hidden = _additions(num_layers, dim, rank, hidden_dim)
        self.from_hidden = _additions(num_layers, hidden_dim, rank, dim)

    def contribute(self, context: Context) -> Contribution:
        tap = Tap(
            name=self.name,
            assigner=self.assigner,
            weight=self.weight,
            branch=self.branch,
            trains_before=False,
        )
        return Contribution(taps=[tap])

    def branch(self, index: int, layer: nn.Module, found: Tensor) -> Tensor:
        """What the heads read; see `Branch`."""
        half = cast(FeedForward, layer.feed_forward)
        return half(found, partial(self._linears, index, half))

    def _linears(self, index: int, half: FeedForward, x: Tensor) -> Tensor:
        """The linear layers of a feed-forward network, with the additions to their weights."""
        hidden = F.relu(half.linear1(x) + self.to_hidden[index](x))
        hidden = half.hidden_dropout(hidden)
        return half.linear2(hidden) + self.from_hidden[index](hidden)


def _additions(num_layers: int, inputs: int, rank: int, outputs: int) -> nn.ModuleList:
    """For each layer, a product of two thin matrices. Neither starts at zero, unlike in
    fine-tuning, because there is no trained output to preserve.
    """
    return nn.ModuleList(
        nn.Sequential(_thin(inputs, rank), _thin(rank, outputs)) for _ in range(num_layers)
    )


def _thin(inputs: int, outputs: int) -> Linear:
    layer = Linear(inputs, outputs, bias=False)
    nn.init.xavier_uniform_(layer.weight)
    return layer
