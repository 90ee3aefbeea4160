"""How a layer adds what its parts find."""

from collections.abc import Callable

from torch import Tensor, nn

from hdetr_d2.layers.dropout import Dropout


class PostNorm(nn.Module):
    """The norm is of the sum.

    Args:
        dropout: of what is added.
    """

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, norm: nn.Module, branch: Callable[[Tensor], Tensor]) -> Tensor:
        """`Tensor[..., C]` to the same."""
        return norm(x + self.dropout(branch(x)))


class PreNorm(PostNorm):
    """The norm is of what the branch sees; nothing stands between the input and the sum."""

    def forward(self, x: Tensor, norm: nn.Module, branch: Callable[[Tensor], Tensor]) -> Tensor:
        """`Tensor[..., C]` to the same."""
        return x + self.dropout(branch(norm(x)))
