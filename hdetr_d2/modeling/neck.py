"""From the backbone's features to the feature levels of the transformer."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from hdetr_d2.modeling.features import Shapes, TakesFeatures


class Neck(nn.Module, ABC):
    """Produces the feature levels of the transformer.

    in_channels: of the backbone's features in use, by name.
    """

    in_channels: Mapping[str, int]

    def connect(self, given: Mapping[str, ShapeSpec]) -> None:
        """Receives the backbone's `output_shape()` from the detector; necks that already know their
        features ignore it.
        """

    @abstractmethod
    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        """`{name: Tensor[B, C_in, H, W]}` to one `Tensor[B, C, H_l, W_l]` per level, finest
        first.
        """


class ChannelMapper(TakesFeatures, Neck):
    """The input projection of Deformable-DETR (https://arxiv.org/abs/2010.04159).

    A 1x1 convolution for each feature. The first additional level is a 3x3 convolution with stride
    2 of the last backbone feature itself, each further one of the previous level.

    Args:
        in_shapes: channels of the backbone's features: its `output_shape()`, or a number for each
            of `in_features`; None takes them from the detector's backbone.
        in_features: names of the features in use, finest first; None for all features of the
            backbone.
        out_channels: channels C of every level.
        num_levels: number of levels, at least one for each feature.
        norm_groups: groups of the GroupNorm after each convolution; None for no norm and PyTorch's
            initial weights, as in DETR.
        bias: whether convolutions have one.

    Raises:
        ValueError: an unknown feature, or fewer levels than features.
    """

    part = "neck"

    def __init__(
        self,
        *,
        in_shapes: Shapes | None = None,
        in_features: Sequence[str] | None = None,
        out_channels: int = 256,
        num_levels: int = 4,
        norm_groups: int | None = 32,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.num_levels = num_levels
        self.norm_groups = norm_groups
        self.bias = bias
        self.take(in_shapes, in_features)

    def make_layers(self, channels: Sequence[int]) -> None:
        if not 0 < len(channels) <= self.num_levels:
            features = list(getattr(self, "in_features", channels))
            raise ValueError(
                f"neck.num_levels={self.num_levels} does not fit the features {features}: every "
                "feature is a level, and there must be at least one. neck.in_features names those "
                "in use."
            )
        dim, further = self.out_channels, self.num_levels - len(channels)
        convs = [nn.Conv2d(width, dim, kernel_size=1, bias=self.bias) for width in channels]
        for width in ([channels[-1]] + [dim] * further)[:further]:
            convs.append(nn.Conv2d(width, dim, 3, stride=2, padding=1, bias=self.bias))
        for conv in convs if self.norm_groups else ():
            nn.init.xavier_uniform_(conv.weight)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
        self.projections = nn.ModuleList(_with_norm(conv, self.norm_groups) for conv in convs)

    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        sources = [features[name] for name in self.in_features]
        levels = [project(x) for project, x in zip(self.projections, sources, strict=False)]
        x = sources[-1]
        for project in self.projections[len(levels) :]:
            x = project(x)
            levels.append(x)
        return levels


def _with_norm(conv: nn.Conv2d, groups: int | None) -> nn.Sequential:
    return nn.Sequential(conv, *([nn.GroupNorm(groups, conv.out_channels)] if groups else []))
