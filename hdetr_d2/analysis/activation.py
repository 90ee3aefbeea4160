"""Class activation maps of a detector on its memory (Grad-CAM,
https://arxiv.org/abs/1610.02391).
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from hdetr_d2.analysis.score_maps import on_levels
from hdetr_d2.structures import Memory


def activation_maps(memory: Memory, score: Callable[[Memory], Tensor]) -> list[Tensor]:
    """The class activation of one image, `Tensor[H_l, W_l]` per level, non-negative, and 0 in the
    padding. On each level, a channel is weighted by the mean derivative of the score over the
    cells.

    Args:
        memory: the memory of one image.
        score: maps a memory to the score of all detections, 0-d.
    """
    tokens = memory.tokens.detach().requires_grad_()
    with torch.enable_grad():
        slope = _slope(score(replace(memory, tokens=tokens)), tokens)
    sizes = [height * width for height, width in memory.shapes]
    levels = zip(memory.tokens.split(sizes, 1), slope.split(sizes, 1), strict=True)
    parts = [(x * rise.mean(1, keepdim=True)).sum(-1).clamp(min=0) for x, rise in levels]
    return on_levels(torch.cat(parts, 1).detach(), memory)


def _slope(score: Tensor, tokens: Tensor) -> Tensor:
    """The derivative with respect to the tokens; zeros if the score does not depend on them, as
    without detections.
    """
    if not score.requires_grad:
        return torch.zeros_like(tokens)
    (slope,) = torch.autograd.grad(score, tokens, allow_unused=True)
    return torch.zeros_like(tokens) if slope is None else slope
