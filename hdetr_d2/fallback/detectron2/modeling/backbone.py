"""The interface of backbones."""

from abc import ABC, abstractmethod
from typing import Any

from detectron2._subset import absent
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

__all__ = ["Backbone"]

__getattr__ = absent(__name__)


class Backbone(nn.Module, ABC):
    """A network from an image to named feature maps.

    A subclass implements `forward`, and either `output_shape` or the attributes that the default
    one reads: `_out_features` (names), `_out_feature_channels`, `_out_feature_strides` (ints by
    name).
    """

    _out_features: list[str]
    _out_feature_channels: dict[str, int]
    _out_feature_strides: dict[str, int]

    @abstractmethod
    def forward(self, *args: Any) -> dict[str, Tensor]:
        """Feature maps Tensor[B, C, H, W] by name."""

    @property
    def size_divisibility(self) -> int:
        """The sides of the input must be multiples of it; 0 for any size."""
        return 0

    @property
    def padding_constraints(self) -> dict[str, int]:
        """Requirements for padding: size_divisibility, square_size, or nothing."""
        return {}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of every feature map."""
        channels, strides = self._out_feature_channels, self._out_feature_strides
        return {
            name: ShapeSpec(channels=channels[name], stride=strides[name])
            for name in self._out_features
        }
