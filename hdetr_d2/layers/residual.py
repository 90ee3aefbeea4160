"""Residual connections of transformer layers."""

from collections.abc import Callable

from torch import Tensor, nn

from hdetr_d2.layers.dropout import Dropout


class PostNorm(nn.Module):
    """Post-norm: LayerNorm of the sum.

    Args:
        dropout: of the branch's output.
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, norm: nn.Module, branch: Callable[[Tensor], Tensor]) -> Tensor:
        """`Tensor[..., C]` to `Tensor[..., C]`."""
        return norm(x + self.dropout(branch(x)))


class PreNorm(PostNorm):
    """Pre-norm: LayerNorm of the branch's input, and a plain sum."""

    def forward(self, x: Tensor, norm: nn.Module, branch: Callable[[Tensor], Tensor]) -> Tensor:
        """`Tensor[..., C]` to `Tensor[..., C]`."""
        return x + self.dropout(branch(norm(x)))
