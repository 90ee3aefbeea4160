"""The multi-scale adapter of Co-DETR (https://arxiv.org/abs/2211.12860)."""

from typing import cast

from torch import Tensor, nn


class Adapter(nn.Module):
    """An additional level for the heads, with half the resolution of the encoder's coarsest.

    Args:
        dim: channels C.
        norm_groups: of the GroupNorm after the convolution.
    """

    def __init__(self, *, dim: int, norm_groups: int = 32) -> None:
        super().__init__()
        self.conv = nn.Conv2d(dim, dim, 3, stride=2, padding=1)
        self.norm = nn.GroupNorm(norm_groups, dim)
        nn.init.xavier_uniform_(self.conv.weight)
        nn.init.zeros_(cast(Tensor, self.conv.bias))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """`Tensor[B, C, H_l, W_l]` per level, finest first, to one more level."""
        return [*maps, self.norm(self.conv(maps[-1]))]
