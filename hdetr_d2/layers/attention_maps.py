"""Attention weights as maps (DETR's mask head, https://arxiv.org/abs/2005.12872)."""

import math

import torch
from torch import Tensor, nn

from hdetr_d2.layers.linear import Linear


class AttentionMaps(nn.Module):
    """Attention maps of queries: a softmax over all heads and positions together.

    Args:
        dim: channels C, a multiple of `num_heads`.
        num_heads: maps per query.
    """

    def __init__(self, *, dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = Linear(dim, dim)
        self.key = Linear(dim, dim)
        for layer in (self.query, self.key):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, states: Tensor, tokens: Tensor, padding: Tensor) -> Tensor:
        """States `Tensor[B, N, C]`, tokens `Tensor[B, S, C]` and their padding `Tensor[B, S]` to
        `Tensor[B, N, heads, S]`.
        """
        query, key = (
            project(x).unflatten(-1, (self.num_heads, -1))
            for project, x in ((self.query, states), (self.key, tokens))
        )
        weights = torch.einsum("bnhc,bshc->bnhs", query / math.sqrt(query.shape[-1]), key)
        weights = weights.masked_fill(padding[:, None, None], -math.inf)
        return weights.flatten(2).softmax(-1).unflatten(-1, (self.num_heads, -1))
