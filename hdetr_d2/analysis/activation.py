"""What of the memory a detector answers to (Grad-CAM, https://arxiv.org/abs/1610.02391)."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from hdetr_d2.analysis.score_maps import on_levels
from hdetr_d2.structures import Memory


def activation_maps(memory: Memory, score: Callable[[Memory], Tensor]) -> list[Tensor]:
    """The class activation of one image, `Tensor[H_l, W_l]` of each level, at least 0 and 0 where
    padded. On each level a channel counts as much as the score rises with it, in the mean over the
    cells.

    Args:
        memory: of one image.
        score: of all that a detector finds, 0-d.
    """
    tokens = memory.tokens.detach().requires_grad_()
    with torch.enable_grad():
        slope = _slope(score(replace(memory, tokens=tokens)), tokens)
    sizes = [height * width for height, width in memory.shapes]
    levels = zip(memory.tokens.split(sizes, 1), slope.split(sizes, 1), strict=True)
    parts = [(x * rise.mean(1, keepdim=True)).sum(-1).clamp(min=0) for x, rise in levels]
    return on_levels(torch.cat(parts, 1).detach(), memory)


def _slope(score: Tensor, tokens: Tensor) -> Tensor:
    """The derivative by the tokens; zeros where what was found, as nothing, does not depend on
    them.
    """
    if not score.requires_grad:
        return torch.zeros_like(tokens)
    (slope,) = torch.autograd.grad(score, tokens, allow_unused=True)
    return torch.zeros_like(tokens) if slope is None else slope
