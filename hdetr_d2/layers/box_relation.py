"""The relation of boxes as a bias of the attention between their queries (Relation-DETR,
https://arxiv.org/abs/2407.11699).
"""

import torch
from torch import Tensor, nn

from hdetr_d2.layers.attention_bias import QueryState
from hdetr_d2.layers.linear import Linear
from hdetr_d2.layers.position import sine_embedding

_LEAST_SIDE = 1e-5


class BoxRelation(nn.Module):
    """A non-negative `AttentionBias` for every head, computed from the query boxes of two layers
    ago and the key boxes of the previous layer. It passes no gradient to the boxes. Layers with
    fewer than two previous sets of boxes get no bias.

    Args:
        num_heads: attention heads H.
        num_feats: features for each of the four numbers that describe a pair; even.
        temperature: see `sine_embedding`.
        scale: of these numbers, to radians.
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
        # Inside this context rather than around it, because the export would not support that.
        with torch.autocast(older.device.type, enabled=False):
            return self.proj(pairs, relu=True).permute(0, 3, 1, 2)


def box_relation(older: Tensor, newer: Tensor) -> Tensor:
    """`Tensor[B, N, 4]` and `Tensor[B, M, 4]`, cxcywh in [0, 1], to `Tensor[B, N, M, 4]`: the
    distance of the second box from the first along x and y, in sides of the first, as log(1 + d),
    and the log ratios of widths and heights.
    """
    centre, size = older[:, :, None].split(2, -1)
    other_centre, other_size = newer[:, None].split(2, -1)
    size, other_size = size + _LEAST_SIDE, other_size + _LEAST_SIDE
    distance = ((centre - other_centre).abs() / size + 1).log()
    return torch.cat([distance, (size / other_size).log()], -1)
