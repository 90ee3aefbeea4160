"""Masks of queries (DETR, https://arxiv.org/abs/2005.12872, section 4.4)."""

import math
from collections.abc import Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from hdetr_d2.layers import AttentionMaps
from hdetr_d2.losses import MaskLoss
from hdetr_d2.matching import queries_of_targets
from hdetr_d2.modeling.features import Shapes, TakesFeatures
from hdetr_d2.structures import Assignment, GroupOutput, ImageMaps, Step


class MaskHead(TakesFeatures):
    """Attention maps of the decoder's last states, upsampled to the resolution of the finest
    feature by a small convolutional network.

    Args:
        dim: channels C of states and memory; halved by every step towards the finest feature.
        num_heads: attention maps per query.
        in_shapes: channels of the features; None for those of the detector's backbone.
        in_features: names of the backbone's features, coarsest first, all finer than the level.
        loss: the mask loss.
        level: of the memory that the maps attend to; -1 is the coarsest.
        norm_groups: groups of the GroupNorms; fewer where the channels are not divisible.

    Raises:
        ValueError: the numbers of channels and features differ.
    """

    part = "mask_head"

    def __init__(
        self,
        *,
        dim: int,
        num_heads: int,
        in_features: Sequence[str],
        loss: MaskLoss,
        in_shapes: Shapes | None = None,
        level: int = -1,
        norm_groups: int = 8,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.num_heads = num_heads
        self.level = level
        self.loss = loss
        self.attention = AttentionMaps(dim=dim, num_heads=num_heads)
        self.norm_groups = norm_groups
        self.take(in_shapes, in_features)

    def make_layers(self, channels: Sequence[int]) -> None:
        first = self.dim + self.num_heads
        widths = [self.dim >> step for step in range(1, len(channels) + 2)]
        steps = zip([first, first, *widths[:-1]], [first, *widths], strict=True)
        self.convs = nn.ModuleList(nn.Conv2d(i, o, 3, padding=1) for i, o in steps)
        self.norms = nn.ModuleList(
            nn.GroupNorm(math.gcd(self.norm_groups, width), width) for width in (first, *widths)
        )
        adapted = zip(channels, widths[:-1], strict=True)
        self.adapters = nn.ModuleList(nn.Conv2d(i, o, 1) for i, o in adapted)
        self.output = nn.Conv2d(widths[-1], 1, 3, padding=1)
        for conv in (*self.convs, *self.adapters, self.output):
            nn.init.kaiming_uniform_(conv.weight, a=1)
            nn.init.zeros_(conv.bias)

    def forward(self, states: Tensor, maps: ImageMaps) -> Tensor:
        """Mask logits `Tensor[B, N, H, W]`, at the resolution of the finest feature, for queries
        with the last states `Tensor[B, N, C]`.
        """
        x = self._first_conv(states, maps).flatten(0, 1)  # [B * N, C + heads, H_l, W_l]
        x = self.convs[1](self.norms[0](x).relu())
        x = self.norms[1](x).relu()
        for index, (name, adapt) in enumerate(zip(self.in_channels, self.adapters, strict=True), 2):
            feature = adapt(maps.features[name])[:, None]
            x = F.interpolate(x, feature.shape[-2:]).unflatten(0, states.shape[:2]) + feature
            x = self.norms[index](self.convs[index](x.flatten(0, 1))).relu()
        return self.output(x)[:, 0].unflatten(0, states.shape[:2])

    def _first_conv(self, states: Tensor, maps: ImageMaps) -> Tensor:
        """The first convolution, `Tensor[B, N, C + heads, H_l, W_l]`, of the level's map
        concatenated with the attention maps: the contribution of the former is the same for all
        queries and is computed once.
        """
        level, conv = maps.levels[self.level], cast(nn.Conv2d, self.convs[0])
        attention = self.attention(states, *maps.memory.level(self.level))
        attention = attention.unflatten(-1, level.shape[-2:]).flatten(0, 1)
        of_map, of_query = conv.weight.split([level.shape[1], attention.shape[1]], 1)
        shared = F.conv2d(level, of_map, conv.bias, padding=1)[:, None]
        return F.conv2d(attention, of_query, padding=1).unflatten(0, states.shape[:2]) + shared

    def upsample(self, logits: Tensor, maps: ImageMaps, size: tuple[int, int]) -> Tensor:
        """Logits in pixels of the padded images, cropped to `size`: `Tensor[B, N, H, W]`."""
        full = F.interpolate(logits, maps.size, mode="bilinear", align_corners=False)
        return full[..., : size[0], : size[1]]

    def losses(
        self, output: GroupOutput, assignment: Assignment, maps: ImageMaps, step: Step
    ) -> dict[str, Tensor]:
        """The losses `loss_mask` and `loss_dice` of the main group's last layer.

        Masks are computed only for the targets' queries: one for each target, the first one if it
        has several. Only the main group learns masks, so that its weight relative to other groups
        does not apply.

        Args:
            output: of the group; its predictions include states, its targets masks.
            assignment: `Tensor[L, B, Q]`.
            step: the training step.
        """
        states, masks = output.predictions.states, output.targets.masks
        assert states is not None and masks is not None
        index, taken = queries_of_targets(assignment[-1], masks.shape[1])
        states = states.gather(1, index[..., None].expand(-1, -1, states.shape[-1]))
        logits = self.upsample(self(states, maps), maps, (masks.shape[-2], masks.shape[-1]))
        losses = self.loss(logits, masks, taken & output.targets.valid)
        return {name: value / step.ground_truths.clamp(min=1) for name, value in losses.items()}
