"""Dropout as a module."""

from torch import Tensor, nn

from hdetr_d2.ops import dropout as drop


class Dropout(nn.Dropout):
    """PyTorch's module on top of `hdetr_d2.ops.dropout`, which is much faster on a CPU.

    Args:
        p: in [0, 1].
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)

    def forward(self, x: Tensor) -> Tensor:
        """`Tensor[...]` to `Tensor[...]`; in evaluation the input itself is returned."""
        return drop(x, self.p) if self.active else x

    @property
    def active(self) -> bool:
        """Whether it currently drops anything."""
        return self.training and self.p > 0
