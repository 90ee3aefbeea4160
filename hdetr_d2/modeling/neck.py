"""From the backbone's features to the levels of the transformer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import cast

from detectron2.layers import ShapeSpec
from torch import Tensor, nn


class Neck(nn.Module, ABC):
    """Makes the levels of the transformer.

    in_channels: of the backbone's features in use, by name.
    """

    in_channels: Mapping[str, int]

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        """`{name: Tensor[B, C_in, H, W]}` to a `Tensor[B, C, H_l, W_l]` a level, finest first."""


class ChannelMapper(Neck):
    """The input projection of Deformable DETR (https://arxiv.org/abs/2010.04159).

    A 1x1 convolution for each feature; the first further level is a 3x3 convolution with stride 2
    of the last backbone feature itself, each one after it of the level before.

    Args:
        in_shapes: channels of the backbone's features: its `output_shape()`, or a number for each
            of `in_features`.
        in_features: names of the features in use, from the finest on.
        out_channels: channels C of every level.
        num_levels: levels to make, at least one for each feature.
        norm_groups: groups of the GroupNorm after each convolution; None for no norm and PyTorch's
            initial weights, as in DETR.
        bias: whether convolutions have one.

    Raises:
        ValueError: an unknown feature, or fewer levels than features.
    """

    def __init__(
        self,
        *,
        in_shapes: Mapping[str, ShapeSpec] | Sequence[int],
        in_features: Sequence[str],
        out_channels: int = 256,
        num_levels: int = 4,
        norm_groups: int | None = 32,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if not 0 < len(in_features) <= num_levels:
            raise ValueError(
                f"neck.num_levels={num_levels} does not fit the features {list(in_features)}: "
                "every feature is a level, and there must be at least one."
            )
        self.in_features = tuple(in_features)
        self.num_levels = num_levels
        channels = channels_of(in_shapes, self.in_features)
        self.in_channels = dict(zip(self.in_features, channels, strict=True))
        convs = [nn.Conv2d(dim, out_channels, kernel_size=1, bias=bias) for dim in channels]
        for dim in ([channels[-1]] + [out_channels] * num_levels)[: num_levels - len(channels)]:
            convs.append(nn.Conv2d(dim, out_channels, 3, stride=2, padding=1, bias=bias))
        for conv in convs if norm_groups else ():
            nn.init.xavier_uniform_(conv.weight)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
        self.projections = nn.ModuleList(_with_norm(conv, norm_groups) for conv in convs)

    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        sources = [features[name] for name in self.in_features]
        levels = [project(x) for project, x in zip(self.projections, sources, strict=False)]
        x = sources[-1]
        for project in self.projections[len(levels) :]:
            x = project(x)
            levels.append(x)
        return levels


def channels_of(
    in_shapes: Mapping[str, ShapeSpec] | Sequence[int], names: Sequence[str]
) -> list[int]:
    """Those of the features in use; the arguments are `in_shapes` and `in_features` of a neck.

    Raises:
        ValueError: they do not fit each other.
    """
    if not isinstance(in_shapes, Mapping):
        if len(in_shapes) != len(names):
            raise ValueError(
                f"neck.in_shapes has {len(in_shapes)} numbers for the features {list(names)}."
            )
        return list(in_shapes)
    unknown = sorted(set(names) - set(in_shapes))
    if unknown:
        raise ValueError(
            f"neck.in_features has {unknown}, but the backbone gives {sorted(in_shapes)}."
        )
    return [cast(int, in_shapes[name].channels) for name in names]


def _with_norm(conv: nn.Conv2d, groups: int | None) -> nn.Sequential:
    return nn.Sequential(conv, *([nn.GroupNorm(groups, conv.out_channels)] if groups else []))
