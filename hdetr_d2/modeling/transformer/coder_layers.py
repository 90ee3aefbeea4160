"""The common parts of all transformer layers, independent of their kind of attention."""

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
    """The output of a layer; with `checkpointing`, its activations are recomputed in the backward
    pass of a training step instead of being stored.
    """
    if checkpointing and layer.training:
        return checkpoint(layer, *inputs, use_reentrant=False, **options)
    return layer(*inputs, **options)


class EncoderLayer(nn.Module, ABC):
    """Self-attention of the tokens, followed by the feed-forward network.

    Args:
        sizes: of the layer.
        attention: self-attention of the tokens.
    """

    def __init__(self, sizes: DenseLayerSizes, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention
        self.norm = sizes.norm()
        self.residual = sizes.residual()
        self.feed_forward = sizes.feed_forward()

    def forward(self, x: Tensor, position: Tensor, *where: Any) -> Tensor:
        """`x` and `position` are `Tensor[B, S, C]`; `where` is passed to the attention."""
        x = self.residual(x, self.norm, lambda x: self.attend(x, x + position, *where))
        return self.feed_forward(x)

    @abstractmethod
    def attend(self, x: Tensor, placed: Tensor, *where: Any) -> Tensor:
        """The output of the attention; `placed` are the tokens with their positions."""


class DecoderLayer(nn.Module, ABC):
    """Self-attention within each group and cross-attention to the memory, followed by the
    feed-forward network.

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
            where: passed to the cross-attention.
            branch_off: called with the queries after the cross-attention; its results follow the
                output in a tuple.
        """
        among = partial(self.among, position, layout)
        x = self.order.before(x, among)
        x = self.residual(x, self.cross_norm, lambda x: self.attend(x + position, memory, *where))
        branches = () if branch_off is None else branch_off(x)
        x = self.order.after(x, among)
        x = self.feed_forward(x, layout.own("feed_forward", self.feed_forward.branch))
        return (x, *branches) if branches else x

    def among(self, position: Tensor, layout: Layout, x: Tensor) -> Tensor:
        """The queries after self-attention."""
        return attend_or_pass(self._among_queries, x, position, layout)

    def _among_queries(self, x: Tensor, position: Tensor, layout: Layout) -> Tensor:
        norm = layout.own("self_norm", self.self_norm)
        return self.residual(x, norm, lambda x: self.self_attention(x, position, layout))

    @abstractmethod
    def attend(self, query: Tensor, memory: Memory, *where: Any) -> Tensor:
        """The output of the cross-attention; the argument includes positions."""
