"""In which order a decoder layer does what it does before its feed-forward half."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor


class LayerOrder(ABC):
    """When the queries of a decoder layer attend to each other: before or after they attend to the
    memory.
    """

    @abstractmethod
    def before(self, x: Tensor, among: Callable[[Tensor], Tensor]) -> Tensor:
        """The queries `Tensor[B, Q, C]` that attend to the memory; `among` is the self-attention
        with its sum and norm.
        """

    @abstractmethod
    def after(self, x: Tensor, among: Callable[[Tensor], Tensor]) -> Tensor:
        """The queries that enter the feed-forward half, likewise."""


class SelfFirst(LayerOrder):
    """Self-attention, then attention to the memory (DETR, https://arxiv.org/abs/2005.12872)."""

    def before(self, x: Tensor, among: Callable[[Tensor], Tensor]) -> Tensor:
        return among(x)

    def after(self, x: Tensor, among: Callable[[Tensor], Tensor]) -> Tensor:
        return x


class CrossFirst(LayerOrder):
    """Attention to the memory, then self-attention (MS-DETR, https://arxiv.org/abs/2401.03989): in
    the middle of the layer a query knows what it has found, and not yet what the others have.
    """

    def before(self, x: Tensor, among: Callable[[Tensor], Tensor]) -> Tensor:
        return x

    def after(self, x: Tensor, among: Callable[[Tensor], Tensor]) -> Tensor:
        return among(x)
