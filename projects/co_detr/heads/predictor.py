"""The convolutional part of one-stage heads."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

_PRIOR = 0.01
"""Initial score of every class."""


@dataclass
class DensePredictions:
    """Predictions for all N anchors, float32. logits: `Tensor[B, N, K]`. boxes: `Tensor[B, N, D]`,
    decoded by the head. quality: `Tensor[B, N]`, a logit; None for heads without it.
    """

    logits: Tensor
    boxes: Tensor
    quality: Tensor | None


class DensePredictor(nn.Module):
    """Two towers of convolutions, for classes and boxes, shared by all levels.

    Args:
        dim: channels C of the maps.
        num_classes: K.
        num_levels: of the pyramid; each has a learned factor on its box outputs.
        num_convs: per tower.
        num_anchors: per cell.
        box_outputs: D.
        quality: whether the box tower has a third output, which predicts the quality of the box.
        norm_groups: of the GroupNorm after each convolution; None for none, as in RetinaNet, which
            also has no factors.
    """

    def __init__(
        self,
        *,
        dim: int,
        num_classes: int,
        num_levels: int,
        num_convs: int,
        num_anchors: int = 1,
        box_outputs: int = 4,
        quality: bool = True,
        norm_groups: int | None = 32,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.box_outputs = box_outputs
        self.class_tower = tower(dim, num_convs, norm_groups)
        self.box_tower = tower(dim, num_convs, norm_groups)
        self.class_conv = nn.Conv2d(dim, num_anchors * num_classes, 3, padding=1)
        self.box_conv = nn.Conv2d(dim, num_anchors * box_outputs, 3, padding=1)
        self.quality_conv = nn.Conv2d(dim, num_anchors, 3, padding=1) if quality else None
        self.scales = nn.Parameter(torch.ones(num_levels)) if norm_groups else None
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                start_convolution(module)
        nn.init.constant_(cast(Tensor, self.class_conv.bias), math.log(_PRIOR / (1 - _PRIOR)))

    def forward(self, maps: Sequence[Tensor]) -> DensePredictions:
        """Maps `Tensor[B, C, H_l, W_l]`, one per level."""
        of_boxes = [self.box_tower(map_) for map_ in maps]
        logits = [self.class_conv(self.class_tower(map_)) for map_ in maps]
        boxes = [self.box_conv(x).float() for x in of_boxes]
        if self.scales is not None:
            boxes = [x * scale for x, scale in zip(boxes, self.scales, strict=True)]
        quality = None
        if self.quality_conv is not None:
            quality = rows_of_anchors([self.quality_conv(x) for x in of_boxes], 1)[..., 0]
        return DensePredictions(
            rows_of_anchors(logits, self.num_classes),
            rows_of_anchors(boxes, self.box_outputs),
            quality,
        )


def start_convolution(conv: nn.Conv2d) -> None:
    """Initialises a convolution of any of these heads."""
    nn.init.normal_(conv.weight, std=0.01)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def rows_of_anchors(maps: Sequence[Tensor], numbers: int) -> Tensor:
    """Rearranges maps `Tensor[B, k * numbers, H_l, W_l]` with k anchors per cell into rows
    `Tensor[B, N, numbers]` float32, in the order of the anchors.
    """
    levels = [map_.permute(0, 2, 3, 1).reshape(len(map_), -1, numbers) for map_ in maps]
    return torch.cat(levels, 1).float()


def tower(dim: int, num_convs: int, norm_groups: int | None) -> nn.Sequential:
    """Convolutions that keep the size of a map `Tensor[B, dim, H, W]`, each followed by a norm if
    `norm_groups` is set.
    """
    layers: list[nn.Module] = []
    for _ in range(num_convs):
        layers.append(nn.Conv2d(dim, dim, 3, padding=1, bias=norm_groups is None))
        layers += [nn.GroupNorm(norm_groups, dim)] if norm_groups else []
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)
