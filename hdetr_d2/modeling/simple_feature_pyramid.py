"""Levels of several strides from the single map of a plain vision transformer."""

from collections.abc import Mapping, Sequence

from timm.layers import LayerNorm2d
from torch import Tensor, nn

from hdetr_d2.modeling.features import Shapes, TakesFeatures
from hdetr_d2.modeling.neck import Neck


class SimpleFeaturePyramid(TakesFeatures, Neck):
    """The neck of ViTDet (https://arxiv.org/abs/2203.16527) in the form of Co-DETR. Finer levels
    are made by nearest-neighbour upsampling, with a 3x3 convolution after each step; coarser levels
    by pooling, and further ones by 3x3 convolutions. A 1x1 and a 3x3 convolution follow. Each
    convolution is followed by a norm over the channels, and each but the last by a GELU.

    Args:
        in_shapes: channels of the backbone's features: its `output_shape()`, or a number for each
            of `in_features`; None takes them from the detector's backbone.
        in_features: the name of the single feature in use; None for the only one of the backbone.
        out_channels: channels C of every level.
        num_levels: number of levels, each with twice the stride of the previous one.
        finer: how many levels are finer than the map.

    Raises:
        ValueError: not exactly one feature, an unknown one, or a negative number.
    """

    part = "neck"

    def __init__(
        self,
        *,
        in_shapes: Shapes | None = None,
        in_features: Sequence[str] | None = None,
        out_channels: int = 256,
        num_levels: int = 5,
        finer: int = 2,
    ) -> None:
        super().__init__()
        if finer < 0 or num_levels < 1:
            raise ValueError(f"neck.finer={finer} and num_levels={num_levels} make no levels.")
        self.out_channels = out_channels
        self.num_levels = num_levels
        self.finer = finer
        self.take(in_shapes, in_features)

    def make_layers(self, channels: Sequence[int]) -> None:
        dim = self.only(channels)
        steps = range(self.finer, self.finer - self.num_levels, -1)
        self.levels = nn.ModuleList(_level(dim, self.out_channels, step) for step in steps)

    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        x = features[self.in_features[0]]
        return [level(x) for level in self.levels]


def _level(dim: int, out_channels: int, step: int) -> nn.Sequential:
    """The level with 2^step times the resolution of the map."""
    layers: list[nn.Module] = []
    for _ in range(step):
        layers += [nn.Upsample(scale_factor=2.0), *_normed(_conv(dim, dim // 2, 3)), nn.GELU()]
        dim //= 2
    if step < 0:
        layers.append(nn.MaxPool2d(3, stride=2, padding=1))
    for _ in range(-step - 1):
        layers += [*_normed(_conv(dim, dim, 3, stride=2)), nn.GELU()]
    layers += [*_normed(_conv(dim, out_channels, 1)), nn.GELU()]
    return nn.Sequential(*layers, *_normed(_conv(out_channels, out_channels, 3)))


def _conv(dim: int, out_channels: int, side: int, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(dim, out_channels, side, stride=stride, padding=side // 2, bias=False)
    nn.init.xavier_uniform_(conv.weight)
    return conv


def _normed(conv: nn.Conv2d) -> tuple[nn.Module, nn.Module]:
    return conv, LayerNorm2d(conv.out_channels, eps=1e-6)
