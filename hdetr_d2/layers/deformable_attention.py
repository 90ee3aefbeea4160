"""The attention module of Deformable-DETR (https://arxiv.org/abs/2010.04159) around the
operator.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hdetr_d2.layers.linear import Linear
from hdetr_d2.ops import linear, ms_deform_attn_fused
from hdetr_d2.ops.ms_deform_attn_fused_reference import sampling_points


class DeformableAttention(nn.Module):
    """Each query samples `num_points` locations on every level, near its reference.

    Args:
        dim: channels C of queries and values, a multiple of `num_heads`.
        num_heads: attention heads M.
        num_levels: feature levels L.
        num_points: sampling points P per head and level.
    """

    def __init__(self, *, dim: int, num_heads: int, num_levels: int, num_points: int) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels cannot be divided among {num_heads} attention heads.")
        self.num_heads = num_heads
        self.num_levels = num_levels
        self.num_points = num_points
        samples = num_heads * num_levels * num_points
        self.sampling_offsets = Linear(dim, 2 * samples)
        self.attention_weights = Linear(dim, samples)
        self.value_proj = Linear(dim, dim)
        self.output_proj = Linear(dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Initially, head m samples in direction 2 pi m / M, its point p at a distance of p + 1
        cells.
        """
        angle = 2 * math.pi * torch.arange(self.num_heads, dtype=torch.float32) / self.num_heads
        direction = torch.stack([angle.cos(), angle.sin()], -1)
        direction = direction / direction.abs().amax(-1, keepdim=True)  # onto the unit square
        distance = torch.arange(1, self.num_points + 1, dtype=torch.float32)
        offsets = direction[:, None, None] * distance[:, None]  # [M, 1, P, 2]
        with torch.no_grad():
            bias = offsets.expand(-1, self.num_levels, -1, -1).reshape(-1)
            self.sampling_offsets.bias.copy_(bias)
        for layer in (self.sampling_offsets, self.attention_weights):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for layer in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self,
        query: Tensor,
        reference: Tensor,
        tokens: Tensor,
        shapes: Sequence[tuple[int, int]],
        padding: Tensor,
    ) -> Tensor:
        """Attention from `query` to `tokens`.

        Args:
            query: `Tensor[B, Q, C]`, positions added.
            reference: `Tensor[B, Q, L, 2]` points or `Tensor[B, Q, L, 4]` cxcywh boxes, in [0, 1]
                of the padded level.
            tokens: `Tensor[B, S, C]`, all levels concatenated.
            shapes: (H, W) of each level.
            padding: `Tensor[B, S]` bool; the values of padded tokens are set to zero.

        Returns:
            `Tensor[B, Q, C]`.
        """
        # In place on the flattened rows: with a view, the gradient would be copied three times.
        rows = self.value_proj(tokens.flatten(0, 1)).masked_fill_(padding.flatten()[:, None], 0.0)
        value = rows.view(*padding.shape, self.num_heads, -1)
        out = ms_deform_attn_fused(value, shapes, reference, self._rows(query))
        return self.output_proj(out)

    def samples(
        self, query: Tensor, reference: Tensor, shapes: Sequence[tuple[int, int]]
    ) -> tuple[Tensor, Tensor]:
        """The sampling locations `Tensor[B, Q, M, L, P, 2]` float32 in [0, 1] of the padded level,
        and their attention weights `Tensor[B, Q, M, L, P]` float32; arguments as in `forward`.
        """
        rows = self._rows(query).float()
        return sampling_points(shapes, reference.float(), rows, self.num_heads)

    def _rows(self, query: Tensor) -> Tensor:
        """Offsets and logits in the layout of `ms_deform_attn_fused`: from one product, so that the
        gradient of the queries is also one product instead of a sum of two.
        """
        layers = (self.sampling_offsets, self.attention_weights)
        weight = torch.cat([each.weight for each in layers])
        bias = torch.cat([each.bias for each in layers])
        return linear(query, weight, bias)
