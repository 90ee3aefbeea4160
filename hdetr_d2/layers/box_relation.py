"""How boxes lie to each other, as a bias of the attention between their queries (Relation-DETR,
https://arxiv.org/abs/2407.11699).
"""

import torch
from torch import Tensor, nn

from hdetr_d2.layers.attention_bias import QueryState
from hdetr_d2.layers.linear import Linear
from hdetr_d2.layers.position import sine_embedding

_LEAST_SIDE = 1e-5


class BoxRelation(nn.Module):
    """An `AttentionBias` for every head, never negative: from the boxes of the queries in the layer
    before the last one to those of the keys in the last one. Boxes learn nothing by it, and layers
    with fewer than two sets of boxes before them have none.

    Args:
        num_heads: attention heads H.
        num_feats: features of each of the four numbers that describe a pair, even.
        temperature: see `sine_embedding`.
        scale: of these numbers, in radians.
    """

    def __init__(
        self,
        *,
        num_heads: int,
        num_feats: int = 16,
        temperature: float = 10000.0,
        scale: float = 100.0,
    ) -> None:
        super().__init__()
        self.num_feats = num_feats
        self.temperature = temperature
        self.scale = scale
        self.proj = Linear(4 * num_feats, num_heads)

    def forward(self, layer: int, queries: QueryState, keys: QueryState) -> Tensor | None:
        """`Tensor[B, H, N, M]`, see `AttentionBias`."""
        if len(keys.boxes) < 2:
            return None
        older, newer = queries.boxes[0], keys.boxes[1]
        with torch.no_grad():
            pairs = self.scale * box_relation(older.float(), newer.float())
            pairs = sine_embedding(pairs, self.num_feats, self.temperature)
        # Behind the other context, not around it, which could not be exported.
        with torch.autocast(older.device.type, enabled=False):
            return self.proj(pairs, relu=True).permute(0, 3, 1, 2)


def box_relation(older: Tensor, newer: Tensor) -> Tensor:
    """`Tensor[B, N, 4]` and `Tensor[B, M, 4]`, cxcywh in [0, 1], to `Tensor[B, N, M, 4]`: how far
    the second lies from the first along x and y, in sides of the first, as log(1 + d); and log
    ratios of the widths and heights.
    """
    centre, size = older[:, :, None].split(2, -1)
    other_centre, other_size = newer[:, None].split(2, -1)
    size, other_size = size + _LEAST_SIDE, other_size + _LEAST_SIDE
    distance = ((centre - other_centre).abs() / size + 1).log()
    return torch.cat([distance, (size / other_size).log()], -1)
