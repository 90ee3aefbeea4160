"""An encoder that skips the finest maps, which are most of the tokens and of the encoder's time.

Lite DETR (https://arxiv.org/abs/2303.07335) does so in most of its layers.
"""

import torch
from torch import Tensor, nn

from hdetr_d2.modeling.transformer.deformable_encoder import (
    DeformableEncoder,
    DeformableEncoderLayer,
)
from hdetr_d2.modeling.transformer.sizes import LayerSizes
from hdetr_d2.structures import Memory


class CoarseEncoderLayer(DeformableEncoderLayer):
    """A layer in which only the last tokens are updated, and attend to all tokens."""

    def attend(self, x: Tensor, placed: Tensor, reference: Tensor, memory: Memory) -> Tensor:
        fine = memory.tokens[:, : memory.tokens.shape[1] - x.shape[1]]
        return super().attend(torch.cat([fine, x], 1), placed, reference, memory)


class CoarseEncoder(DeformableEncoder):
    """A `DeformableEncoder` for the coarser levels: they attend to the finest levels, which are
    passed on unchanged.

    Args:
        passed: number of levels that are passed on unchanged, finest first.
        sizes, num_layers, position, checkpointing: see `DeformableEncoder`.

    Raises:
        ValueError: no level would be passed on, or all.
    """

    layer = CoarseEncoderLayer

    def __init__(
        self,
        *,
        passed: int,
        sizes: LayerSizes,
        num_layers: int,
        position: nn.Module,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(
            sizes=sizes, num_layers=num_layers, position=position, checkpointing=checkpointing
        )
        if not 0 < passed < sizes.num_levels:
            raise ValueError(
                f"encoder.passed={passed} must be at least 1, and less than the "
                f"{sizes.num_levels} levels."
            )
        self.passed = passed

    def encode(self, tokens: Tensor, position: Tensor, reference: Tensor, maps: Memory) -> Tensor:
        fine = sum(height * width for height, width in maps.shapes[: self.passed])
        passing, x = tokens.tensor_split([fine], 1)
        position, reference = position[:, fine:], reference[:, fine:]
        return torch.cat([passing, super().encode(x, position, reference, maps)], 1)
