"""Self-attention restricted by the order of confidence (MDS-DETR,
https://arxiv.org/abs/2605.23507).
"""

import math

import torch
from torch import Tensor, nn

from hdetr_d2.layers.attention_bias import QueryState
from hdetr_d2.layers.box_relation import box_relation
from hdetr_d2.layers.mlp import MLP
from hdetr_d2.layers.position import sine_embedding


class ConfidenceOrder(nn.Module):
    """An `AttentionBias` for one decoder layer: each query attends only to the queries that were
    more confident in the previous layer, not to itself, and to all tokens. Of two queries on the
    same object, the more confident one thus does not see the other. The weights also depend on the
    relation of the boxes, symmetrically for both queries of a pair.

    Args:
        layer: index of the decoder layer.
        num_heads: attention heads H.
        num_tokens: T; the only keys of the most confident query.
        num_feats: features for each of the four numbers that describe a pair; even.

    Raises:
        ValueError: fewer than one token, which would leave the most confident query without keys.
    """

    def __init__(
        self, *, layer: int, num_heads: int, num_tokens: int = 10, num_feats: int = 32
    ) -> None:
        super().__init__()
        if num_tokens < 1:
            raise ValueError(f"num_tokens={num_tokens} must be at least 1.")
        self.layer = layer
        self.num_feats = num_feats
        self.relation = MLP(4 * num_feats, 4 * num_feats, num_heads, 2)
        nn.init.zeros_(self.relation.last.weight)
        nn.init.zeros_(self.relation.last.bias)
        # All tokens together start with the weight of one key.
        start = torch.full((num_heads, 1, num_tokens), -math.log(num_tokens))
        self.token_bias = nn.Parameter(start)

    def forward(self, layer: int, queries: QueryState, keys: QueryState) -> Tensor | None:
        """`Tensor[B, H, N, M + T]`, see `AttentionBias`."""
        if layer != self.layer:
            return None
        sure, others = _confidence(queries), _confidence(keys)
        hidden = sure[:, None, :, None] >= others[:, None, None]
        near = self._near(queries, keys).masked_fill(hidden, -math.inf)
        images, _, length, _ = near.shape
        return torch.cat([near, self.token_bias.expand(images, -1, length, -1)], -1)

    def _near(self, queries: QueryState, keys: QueryState) -> Tensor:
        """`Tensor[B, H, N, M]`, from the latest boxes."""
        boxes, others = queries.boxes[-1].float(), keys.boxes[-1].float()
        forth = self._from(boxes, others)
        back = forth if keys is queries else self._from(others, boxes)
        return (forth + back.transpose(2, 3)) / 2

    def _from(self, boxes: Tensor, others: Tensor) -> Tensor:
        with torch.no_grad():
            pairs = sine_embedding(box_relation(boxes, others), self.num_feats)
        with torch.autocast(boxes.device.type, enabled=False):
            return self.relation(pairs).permute(0, 3, 1, 2)


def _confidence(seen: QueryState) -> Tensor:
    """The highest logit of each query in the previous layer, `Tensor[B, N]`, without gradient."""
    assert seen.logits is not None  # there is always a previous layer
    return seen.logits.detach().amax(-1)
