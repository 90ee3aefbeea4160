"""What the meta-architecture asks of an encoder and of a decoder."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from hdetr_d2.structures import Memory, Predictions, QueryGroup


def run_layer(layer: nn.Module, *inputs: Any, checkpointing: bool) -> Tensor:
    """The output of a layer; with `checkpointing` its activations are recomputed in the backward
    pass of a training step instead of being kept.
    """
    if checkpointing and layer.training:
        return checkpoint(layer, *inputs, use_reentrant=False)
    return layer(*inputs)


class Encoder(nn.Module, ABC):
    """Feature maps to memory."""

    @abstractmethod
    def forward(self, features: Sequence[Tensor], padding: Tensor) -> Memory:
        """Encodes the maps of a batch.

        Args:
            features: `Tensor[B, C, H_l, W_l]` of each level, the finest first.
            padding: `Tensor[B, H, W]` bool of the images, True where padded.
        """


class Decoder(nn.Module, ABC):
    """Query groups and memory to predictions.

    num_layers: layers that predict. refine: whether a layer moves the boxes of the layer before.
    """

    num_layers: int
    refine: bool

    @abstractmethod
    def forward(self, groups: Sequence[QueryGroup], memory: Memory) -> list[Predictions]:
        """The predictions of each group, all groups in one pass."""
