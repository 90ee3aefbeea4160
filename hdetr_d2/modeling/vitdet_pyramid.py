"""Levels from the single map of a plain vision transformer, as in Detectron2."""

from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from hdetr_d2.modeling.features import Shapes, TakesFeatures
from hdetr_d2.modeling.neck import ChannelMapper, Neck


class ViTDetPyramid(TakesFeatures, Neck):
    """The simple feature pyramid of ViTDet (https://arxiv.org/abs/2203.16527) in the form of
    Detectron2, for levels of twice, once and half the resolution of the map; further levels take
    every second cell of the previous one. The 1x1 convolutions of a `ChannelMapper` follow.

    `SimpleFeaturePyramid` is the form of Co-DETR: it upsamples without weights, and has norms and
    activations between its convolutions.

    Args:
        in_shapes: channels of the backbone's features: its `output_shape()`, or a number for each
            of `in_features`; None takes them from the detector's backbone.
        in_features: the name of the single feature in use; None for the only one of the backbone.
        out_channels: channels C of every level.
        num_levels: number of levels, at least three.

    Raises:
        ValueError: not exactly one feature, an unknown one, or too few levels.
    """

    part = "neck"

    def __init__(
        self,
        *,
        in_shapes: Shapes | None = None,
        in_features: Sequence[str] | None = None,
        out_channels: int = 256,
        num_levels: int = 4,
    ) -> None:
        super().__init__()
        if num_levels < 3:
            raise ValueError(f"neck.num_levels={num_levels} must be at least 3.")
        self.out_channels = out_channels
        self.num_levels = num_levels
        self.take(in_shapes, in_features)

    def make_layers(self, channels: Sequence[int]) -> None:
        dim, out = self.only(channels), self.out_channels
        finer = nn.ConvTranspose2d(dim, dim // 2, kernel_size=2, stride=2)
        self.levels = nn.ModuleList(
            [
                nn.Sequential(finer, *_projection(dim // 2, out)),
                nn.Sequential(*_projection(dim, out)),
                nn.Sequential(nn.MaxPool2d(kernel_size=2, stride=2), *_projection(dim, out)),
            ]
        )
        names = [f"level{place}" for place in range(self.num_levels)]
        self.mapper = ChannelMapper(
            in_shapes=[out] * self.num_levels,
            in_features=names,
            out_channels=out,
            num_levels=self.num_levels,
        )

    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        levels = [level(features[self.in_features[0]]) for level in self.levels]
        while len(levels) < self.num_levels:
            levels.append(F.max_pool2d(levels[-1], kernel_size=1, stride=2))
        return self.mapper(dict(zip(self.mapper.in_features, levels, strict=True)))


def _projection(dim: int, out: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for width, side in ((dim, 1), (out, 3)):
        conv = nn.Conv2d(width, out, side, padding=side // 2, bias=False)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
        layers += [conv, LayerNorm2d(out, eps=1e-6)]
    return layers
