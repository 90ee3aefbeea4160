"""What stands out in an image, as one map over all levels (Co-DETR,
https://arxiv.org/abs/2211.12860, section 3.4).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from hdetr_d2.structures import Memory


def score_map(levels: Sequence[Tensor], padded: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """The discriminability score of each pixel: the mean over the levels, each divided by its
    maximum and resized to the image.

    Args:
        levels: `Tensor[H_l, W_l]` each, non-negative; a level of zeros stays zero.
        padded: (H, W) of the image including padding, which the levels cover.
        size: (H, W) of the image without padding.

    Returns:
        `Tensor[H, W]` in [0, 1], for the image without padding.
    """
    total = levels[0].new_zeros(padded)
    for level in levels:
        scaled = level / level.max().clamp(min=torch.finfo(level.dtype).tiny)
        total += F.interpolate(scaled[None, None], padded, mode="bilinear")[0, 0]
    height, width = size
    return (total / len(levels))[:height, :width]


def feature_norms(memory: Memory) -> list[Tensor]:
    """The norm of the features of one image in every cell: `Tensor[H_l, W_l]` per level, 0 in the
    padding.
    """
    return on_levels(memory.tokens.float().norm(dim=-1), memory)


def on_levels(values: Tensor, memory: Memory) -> list[Tensor]:
    """Splits one value per token of one image, `Tensor[1, S]`, into levels: `Tensor[H_l, W_l]`
    each, 0 in the padding.
    """
    inside = values.masked_fill(memory.padding, 0.0)[0]
    parts = inside.split([height * width for height, width in memory.shapes])
    return [part.view(shape) for part, shape in zip(parts, memory.shapes, strict=True)]
