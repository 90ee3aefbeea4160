"""The layers of every transformer here, but for how they look at the tokens."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from hdetr_d2.layers import Layout
from hdetr_d2.modeling.transformer.sizes import DenseLayerSizes
from hdetr_d2.structures import Memory


class EncoderLayer(nn.Module, ABC):
    """The tokens' attention to each other, then the feed-forward half.

    Args:
        sizes: of the layer.
        attention: of the tokens.
    """

    def __init__(self, sizes: DenseLayerSizes, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.norm = sizes.norm()
        self.residual = sizes.residual()
        self.feed_forward = sizes.feed_forward()

    def forward(self, x: Tensor, position: Tensor, *where: Any) -> Tensor:
        """`x` and `position`, `Tensor[B, S, C]`, are those of the tokens; `where` tells the
        attention more of them.
        """
        x = self.residual(x, self.norm, lambda x: self.attend(x, x + position, *where))
        return self.feed_forward(x)

    @abstractmethod
    def attend(self, x: Tensor, placed: Tensor, *where: Any) -> Tensor:
        """What the tokens find in each other; `placed` are they with their positions."""


class DecoderLayer(nn.Module, ABC):
    """Self-attention inside each group, attention to the memory, feed-forward.

    Args:
        sizes: of the layer.
        cross_attention: to the memory.
    """

    def __init__(self, sizes: DenseLayerSizes, cross_attention: nn.Module) -> None:
        super().__init__()
        self.self_attention = sizes.self_attention()
        self.self_norm = sizes.norm()
        self.cross_attention = cross_attention
        self.cross_norm = sizes.norm()
        self.residual = sizes.residual()
        self.feed_forward = sizes.feed_forward()

    def forward(
        self, x: Tensor, position: Tensor, layout: Layout, memory: Memory, *where: Any
    ) -> Tensor:
        """`x` and `position`, `Tensor[B, Q, C]`, hold the queries of all groups; `where` tells the
        attention to the memory more of them.
        """
        self_norm = layout.own("self_norm", self.self_norm)
        x = self.residual(x, self_norm, lambda x: self.self_attention(x, position, layout))
        x = self.residual(x, self.cross_norm, lambda x: self.attend(x + position, memory, *where))
        return self.feed_forward(x, layout.own("feed_forward", self.feed_forward.branch))

    @abstractmethod
    def attend(self, query: Tensor, memory: Memory, *where: Any) -> Tensor:
        """What the queries, with their positions, find in the memory."""
