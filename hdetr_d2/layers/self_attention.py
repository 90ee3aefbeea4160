"""Multi-head self-attention over PyTorch's fused kernels."""

import torch.nn.functional as F
from torch import Tensor, nn


class SelfAttention(nn.Module):
    """Self-attention whose queries and keys carry a position and whose values do not, as in DETR.

    Args:
        dim: channels C, a multiple of `num_heads`.
        num_heads: attention heads.
        dropout: of the attention weights, in training.
    """

    def __init__(self, *, dim: int, num_heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"{dim} channels cannot be divided among {num_heads} attention heads.")
        self.num_heads = num_heads
        self.dropout = dropout
        # One matrix for queries, keys and values, so that its initialisation is that of one matrix.
        self.in_proj = nn.Linear(dim, 3 * dim)
        self.out_proj = nn.Linear(dim, dim)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for layer in (self.in_proj, self.out_proj):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        """`Tensor[B, Q, C]` twice to `Tensor[B, Q, C]`."""
        dim = x.shape[-1]
        weight, bias = self.in_proj.weight, self.in_proj.bias
        query, key = F.linear(x + position, weight[: 2 * dim], bias[: 2 * dim]).chunk(2, -1)
        value = F.linear(x, weight[2 * dim :], bias[2 * dim :])
        query, key, value = (
            t.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for t in (query, key, value)
        )
        dropout = self.dropout if self.training else 0.0
        out = F.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
        return self.out_proj(out.transpose(1, 2).flatten(2))
