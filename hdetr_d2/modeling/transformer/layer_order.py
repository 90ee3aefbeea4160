"""The order of the two attentions in a decoder layer."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor


class LayerOrder(ABC):
    """When the self-attention of a decoder layer takes place: before or after the
    cross-attention.
    """

    @abstractmethod
    def before(self, x: Tensor, among: Callable[[Tensor], Tensor]) -> Tensor:
        """The queries `Tensor[B, Q, C]` that enter the cross-attention; `among` is the
        self-attention with its residual and norm.
        """

    @abstractmethod
    def after(self, x: Tensor, among: Callable[[Tensor], Tensor]) -> Tensor:
        """The queries that enter the feed-forward network, likewise."""


class SelfFirst(LayerOrder):
    """Self-attention, then cross-attention (DETR, https://arxiv.org/abs/2005.12872)."""

    def before(self, x: Tensor, among: Callable[[Tensor], Tensor]) -> Tensor:
        return among(x)

    def after(self, x: Tensor, among: Callable[[Tensor], Tensor]) -> Tensor:
        return x


class CrossFirst(LayerOrder):
    """Cross-attention, then self-attention (MS-DETR, https://arxiv.org/abs/2401.03989): in the
    middle of the layer, a query knows what it has found, but not yet what the others have.
    """

    def before(self, x: Tensor, among: Callable[[Tensor], Tensor]) -> Tensor:
        return x

    def after(self, x: Tensor, among: Callable[[Tensor], Tensor]) -> Tensor:
        return among(x)
