"""The layers of every transformer here, but for how they look at the tokens."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hdetr_d2.layers import Layout, attend_or_pass
from hdetr_d2.modeling.transformer.layer_order import LayerOrder
from hdetr_d2.modeling.transformer.sizes import DenseLayerSizes
from hdetr_d2.structures import Memory


def run_layer(layer: nn.Module, *inputs: Any, checkpointing: bool, **options: Any) -> Any:
    """The output of a layer; with `checkpointing` its activations are recomputed in the backward
    pass of a training step instead of being kept.
    """
    if checkpointing and layer.training:
        return checkpoint(layer, *inputs, use_reentrant=False, **options)
    return layer(*inputs, **options)


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
    """Self-attention inside each group and attention to the memory, then the feed-forward half.

    Args:
        sizes: of the layer.
        order: which attention comes first.
        cross_attention: to the memory.
    """

    def __init__(
        self, sizes: DenseLayerSizes, order: LayerOrder, cross_attention: nn.Module
    ) -> None:
        super().__init__()
        self.order = order
        self.self_attention = sizes.self_attention()
        self.self_norm = sizes.norm()
        self.cross_attention = cross_attention
        self.cross_norm = sizes.norm()
        self.residual = sizes.residual()
        self.feed_forward = sizes.feed_forward()

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        layout: Layout,
        memory: Memory,
        *where: Any,
        branch_off: Callable[[Tensor], Sequence[Tensor]] | None = None,
    ) -> Any:
        """`Tensor[B, Q, C]`, the queries of all groups after the layer.

        Args:
            x, position: `Tensor[B, Q, C]` of the queries.
            layout: of the groups.
            where: tells the attention to the memory more of the queries.
            branch_off: sees the queries after that attention; then what it makes of them stands
                behind the output in a tuple.
        """
        among = partial(self.among, position, layout)
        x = self.order.before(x, among)
        x = self.residual(x, self.cross_norm, lambda x: self.attend(x + position, memory, *where))
        branches = () if branch_off is None else branch_off(x)
        x = self.order.after(x, among)
        x = self.feed_forward(x, layout.own("feed_forward", self.feed_forward.branch))
        return (x, *branches) if branches else x

    def among(self, position: Tensor, layout: Layout, x: Tensor) -> Tensor:
        """The queries after they have attended to each other."""
        return attend_or_pass(self._among_queries, x, position, layout)

    def _among_queries(self, x: Tensor, position: Tensor, layout: Layout) -> Tensor:
        norm = layout.own("self_norm", self.self_norm)
        return self.residual(x, norm, lambda x: self.self_attention(x, position, layout))

    @abstractmethod
    def attend(self, query: Tensor, memory: Memory, *where: Any) -> Tensor:
        """What the queries, with their positions, find in the memory."""
