"""The multi-scale adapter of Co-DETR (https://arxiv.org/abs/2211.12860)."""

from typing import cast

from torch import Tensor, nn


class Adapter(nn.Module):
    """One level more for the heads, half as fine as the coarsest one of the encoder.

    Args:
        dim: channels C.
        norm_groups: of the group norm behind the convolution.
    """

    def __init__(self, *, dim: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(norm_groups, dim)
        nn.init.xavier_uniform_(self.conv.weight)
        nn.init.zeros_(cast(Tensor, self.conv.bias))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """`Tensor[B, C, H_l, W_l]` of each level, finest first, to one more."""
        return [*maps, self.norm(self.conv(maps[-1]))]
