"""Levels of all strides from the one map of a plain vision transformer."""

from collections.abc import Mapping, Sequence

from detectron2.layers import ShapeSpec
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from hdetr_d2.modeling.neck import Neck, channels_of


class SimpleFeaturePyramid(Neck):
    """The neck of ViTDet (https://arxiv.org/abs/2203.16527), with nearest upsampling in the place
    of transposed convolutions: each level is the map made finer or coarser, and a 1x1 and a 3x3
    convolution.

    Args:
        in_shapes: channels of the backbone's features: its `output_shape()`, or a number for each
            of `in_features`.
        in_features: the name of the one feature in use.
        out_channels: channels C of every level.
        num_levels: levels to make, each with twice the stride of the one before.
        finer: how many levels are finer than the map.

    Raises:
        ValueError: other than one feature, an unknown one, or a negative number.
    """

    def __init__(
        self,
        *,
        in_shapes: Mapping[str, ShapeSpec] | Sequence[int],
        in_features: Sequence[str],
        out_channels: int = 256,
        num_levels: int = 5,
        finer: int = 2,
    ) -> None:
        super().__init__()
        if len(in_features) != 1:
            raise ValueError(f"neck.in_features={list(in_features)} must be one feature.")
        if finer < 0 or num_levels < 1:
            raise ValueError(f"neck.finer={finer} and num_levels={num_levels} make no levels.")
        self.in_features = tuple(in_features)
        self.num_levels = num_levels
        channels = channels_of(in_shapes, self.in_features)
        self.in_channels = dict(zip(self.in_features, channels, strict=True))
        steps = range(finer, finer - num_levels, -1)
        self.levels = nn.ModuleList(_level(channels[0], out_channels, step) for step in steps)

    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        x = features[self.in_features[0]]
        return [level(x) for level in self.levels]


def _level(dim: int, out_channels: int, step: int) -> nn.Sequential:
    """A level that is 2^step as fine as the map."""
    layers: list[nn.Module] = []
    if step < 0:
        layers.append(nn.MaxPool2d(2**-step, ceil_mode=True))
    for left in range(step, 0, -1):
        layers += [nn.Upsample(scale_factor=2.0), _conv(dim, dim // 2, 3)]
        dim //= 2
        if left > 1:
            layers += [LayerNorm2d(dim, eps=1e-6), nn.GELU()]
    layers += [_conv(dim, out_channels, 1), LayerNorm2d(out_channels, eps=1e-6)]
    return nn.Sequential(*layers, _conv(out_channels, out_channels, 3), LayerNorm2d(out_channels))


def _conv(dim: int, out_channels: int, side: int) -> nn.Conv2d:
    return nn.Conv2d(dim, out_channels, side, padding=side // 2, bias=False)
