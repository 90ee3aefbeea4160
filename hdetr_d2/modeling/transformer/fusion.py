"""Memory from all encoder layers (Relation-DETR, https://arxiv.org/abs/2407.11699)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hdetr_d2.layers import MLP


class LayerFusion(nn.Module):
    """Combines the encoder's input and the outputs of all its layers, token by token.

    Args:
        dim: channels C.
        num_layers: encoder layers L.
    """

    def __init__(self, *, dim: int, num_layers: int) -> None:
        super().__init__()
        self.mlp = MLP((num_layers + 1) * dim, dim, dim, 2)
        self.norm = nn.LayerNorm(dim)

    def forward(self, states: Sequence[Tensor]) -> Tensor:
        """L + 1 of `Tensor[B, S, C]` to one."""
        return self.norm(self.mlp(torch.cat([*states], -1)))
