"""The encoder of Deformable DETR (https://arxiv.org/abs/2010.04159)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hdetr_d2.layers import SinePositionEncoding
from hdetr_d2.modeling.transformer.base import Encoder, run_layer
from hdetr_d2.modeling.transformer.geometry import cell_centres, level_padding, valid_ratio
from hdetr_d2.modeling.transformer.sizes import LayerSizes
from hdetr_d2.structures import Memory


class DeformableEncoderLayer(nn.Module):
    """Deformable self-attention over all levels, then the feed-forward half; both post-norm."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__()
        self.attention = sizes.deformable_attention()
        self.dropout = nn.Dropout(sizes.dropout)
        self.norm = nn.LayerNorm(sizes.dim)
        self.feed_forward = sizes.feed_forward()

    def forward(
        self,
        x: Tensor,
        position: Tensor,
        reference: Tensor,
        shapes: Sequence[tuple[int, int]],
        padding: Tensor,
    ) -> Tensor:
        update = self.attention(x + position, reference, x, shapes, padding)
        return self.feed_forward(self.norm(x + self.dropout(update)))


class DeformableEncoder(Encoder):
    """Feature maps to `Memory`.

    Args:
        sizes: of every layer.
        num_layers: encoder layers.
        position: encodes the cells of a level.
        checkpointing: recompute a layer's activations in the backward pass instead of keeping them.
    """

    def __init__(
        self,
        *,
        sizes: LayerSizes,
        num_layers: int,
        position: SinePositionEncoding,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.position = position
        self.checkpointing = checkpointing
        self.level_embed = nn.Parameter(torch.randn(sizes.num_levels, sizes.dim))
        self.layers = nn.ModuleList(DeformableEncoderLayer(sizes) for _ in range(num_layers))

    def forward(self, features: Sequence[Tensor], padding: Tensor) -> Memory:
        """Encodes L maps `Tensor[B, C, H_l, W_l]` of images whose `padding` is `Tensor[B, H, W]`
        bool.
        """
        shapes = tuple((f.shape[-2], f.shape[-1]) for f in features)
        masks = [level_padding(padding, shape) for shape in shapes]
        position = torch.cat(
            [
                self.position(mask).flatten(1, 2) + embed
                for mask, embed in zip(masks, self.level_embed, strict=True)
            ],
            1,
        )
        x = torch.cat([f.flatten(2).transpose(1, 2) for f in features], 1)  # [B, S, C]
        flat_padding = torch.cat([mask.flatten(1) for mask in masks], 1)
        valid_ratios = torch.stack([valid_ratio(mask) for mask in masks], 1)  # [B, L, 2]
        reference = cell_centres(shapes, valid_ratios)[:, :, None] * valid_ratios[:, None]
        for layer in self.layers:
            inputs = (x, position, reference, shapes, flat_padding)
            x = run_layer(layer, *inputs, checkpointing=self.checkpointing)
        return Memory(x, flat_padding, shapes, valid_ratios)
