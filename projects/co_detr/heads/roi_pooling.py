"""RoI pooling (Mask R-CNN, https://arxiv.org/abs/1703.06870) from suitable levels."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align

from hdetr_d2.projects.co_detr.boxes import box_sides

_FINEST_SIDE = 14
"""The side of a box, in cells of the finest level, at the lower end of this level."""


def pool_boxes(
    maps: Sequence[Tensor], strides: Sequence[int], boxes: Tensor, valid: Tensor, size: int = 7
) -> Tensor:
    """Features `Tensor[B * N, C, size, size]` of boxes; zeros for invalid ones.

    Args:
        maps: `Tensor[B, C, H_l, W_l]` per level, finest first.
        strides: of each level, in pixels.
        boxes: `Tensor[B, N, 4]` xyxy in pixels.
        valid: `Tensor[B, N]` bool.
    """
    levels = _level_of(boxes, _FINEST_SIDE * strides[0], len(maps)).masked_fill(~valid, -1)
    batch, count, _ = boxes.shape
    image = torch.arange(batch, device=boxes.device, dtype=boxes.dtype)
    image = image[:, None, None].expand(-1, count, -1)
    pooled = maps[0].new_zeros(batch * count, maps[0].shape[1], size, size, dtype=torch.float32)
    for number, (map_, stride) in enumerate(zip(maps, strides, strict=True)):
        # Selecting the boxes of a level would wait for the device. The others are given zero size
        # here: they pool zeros at almost no cost.
        own = boxes.where((levels == number)[..., None], 0.0)
        rois = torch.cat([image, own], -1).flatten(0, 1)
        found = roi_align(map_.float(), rois, size, 1 / stride, sampling_ratio=0, aligned=True)
        pooled += found
    return pooled


def _level_of(boxes: Tensor, finest_side: float, num_levels: int) -> Tensor:
    """The level of each box `Tensor[..., 4]`: increases by one when its side doubles."""
    side = box_sides(boxes).prod(-1).sqrt()
    level = (side / finest_side + 1e-6).log2().floor()
    return level.clamp(0, num_levels - 1).long()
