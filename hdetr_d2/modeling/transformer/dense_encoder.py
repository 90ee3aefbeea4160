"""The encoder of DETR (https://arxiv.org/abs/2005.12872)."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from hdetr_d2.modeling.transformer.base import Encoder
from hdetr_d2.modeling.transformer.coder_layers import EncoderLayer, run_layer
from hdetr_d2.modeling.transformer.geometry import flatten_levels
from hdetr_d2.modeling.transformer.sizes import DenseLayerSizes
from hdetr_d2.structures import Memory


class DenseEncoderLayer(EncoderLayer):
    """Self-attention of all tokens, followed by the feed-forward network."""

    def __init__(self, sizes: DenseLayerSizes) -> None:
        super().__init__(sizes, sizes.dense_attention())

    def attend(self, x: Tensor, placed: Tensor, padding: Tensor) -> Tensor:
        return self.attention(placed, placed, x, padding)


class DenseEncoder(Encoder):
    """Maps features to `Memory`: every token attends to all others, at quadratic cost.

    Args:
        sizes: of every layer.
        num_layers: encoder layers.
        position: encodes the cells of all levels, see `hdetr_d2.layers.SinePositionEncoding`.
        checkpointing: recompute a layer's activations in the backward pass instead of storing them.
    """

    def __init__(
        self,
        *,
        sizes: DenseLayerSizes,
        num_layers: int,
        position: nn.Module,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        self.position = position
        self.checkpointing = checkpointing
        self.layers = nn.ModuleList(DenseEncoderLayer(sizes) for _ in range(num_layers))
        self.norm = sizes.norm_of_encoder()

    def forward(self, features: Sequence[Tensor], padding: Tensor) -> Memory:
        maps = flatten_levels(features, padding, self.position)
        x = maps.tokens
        for layer in self.layers:
            inputs = (x, maps.position, maps.padding)
            x = run_layer(layer, *inputs, checkpointing=self.checkpointing)
        return replace(maps, tokens=self.norm(x))
