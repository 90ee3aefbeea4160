"""The encoder of Deformable-DETR (https://arxiv.org/abs/2010.04159)."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from hdetr_d2.modeling.transformer.base import Encoder
from hdetr_d2.modeling.transformer.coder_layers import EncoderLayer, run_layer
from hdetr_d2.modeling.transformer.geometry import flatten_levels, of_cells
from hdetr_d2.modeling.transformer.sizes import LayerSizes
from hdetr_d2.structures import Memory


class DeformableEncoderLayer(EncoderLayer):
    """Deformable self-attention over all levels, followed by the feed-forward network."""

    def __init__(self, sizes: LayerSizes) -> None:
        super().__init__(sizes, sizes.deformable_attention())

    def attend(self, x: Tensor, placed: Tensor, reference: Tensor, memory: Memory) -> Tensor:
        return self.attention(placed, reference, x, memory.shapes, memory.padding)


class DeformableEncoder(Encoder):
    """Maps features to `Memory`.

    layer: the class of its layers.

    Args:
        sizes: of every layer.
        num_layers: encoder layers.
        position: encodes the cells of all levels, see `hdetr_d2.layers.SinePositionEncoding`.
        fusion: combines the tokens and the outputs of all layers into the memory; None uses the
            last output.
        checkpointing: recompute a layer's activations in the backward pass instead of storing them.
    """

    layer: type[DeformableEncoderLayer] = DeformableEncoderLayer

    optional = ("fusion",)

    def __init__(
        self,
        *,
        sizes: LayerSizes,
        num_layers: int,
        position: nn.Module,
        fusion: nn.Module | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.position = position
        self.fusion = fusion
        self.checkpointing = checkpointing
        self.level_embed = nn.Parameter(torch.randn(sizes.num_levels, sizes.dim))
        self.layers = nn.ModuleList(self.layer(sizes) for _ in range(num_layers))
        self.norm = sizes.norm_of_encoder()
        if not num_layers:  # unused parameters would leave processes waiting for their gradients
            for unread in (self.level_embed, *position.parameters()):
                unread.requires_grad_(False)

    def forward(self, features: Sequence[Tensor], padding: Tensor) -> Memory:
        """Encodes L maps `Tensor[B, C, H_l, W_l]` of images whose `padding` is `Tensor[B, H, W]`
        bool.
        """
        if not self.layers:
            maps = flatten_levels(features, padding, None)
            return replace(maps, tokens=self.norm(maps.tokens))
        maps = flatten_levels(features, padding, self.position)
        position = self._with_levels(maps)
        assert maps.centres is not None  # always set by flatten_levels
        reference = maps.centres[:, :, None] * maps.valid_ratios[:, None]
        x = self.encode(maps.tokens, position, reference, maps)
        # Deformable decoders attend near references and do not use the tokens' positions.
        return replace(maps, tokens=self.norm(x), position=None)

    def encode(self, tokens: Tensor, position: Tensor, reference: Tensor, maps: Memory) -> Tensor:
        """All layers, on tokens and positions `Tensor[B, S, C]` with references
        `Tensor[B, S, L, 2]`.
        """
        states = [tokens]
        for layer in self.layers:
            inputs = (states[-1], position, reference, maps)
            x = run_layer(layer, *inputs, checkpointing=self.checkpointing)
            states = [x] if self.fusion is None else [*states, x]
        return states[-1] if self.fusion is None else self.fusion(states)

    def _with_levels(self, maps: Memory) -> Tensor:
        """The positions of the tokens plus the embeddings of their levels."""
        assert maps.position is not None  # always set by flatten_levels
        return maps.position + of_cells(self.level_embed, maps.shapes)
