"""Adaptive training sample selection (ATSS, https://arxiv.org/abs/1912.02424)."""

import torch
from torch import Tensor

from hdetr_d2.ops import box_iou
from hdetr_d2.projects.co_detr.anchors import Anchors
from hdetr_d2.projects.co_detr.boxes import box_centres, side_distances
from hdetr_d2.projects.co_detr.levels import best_of_levels
from hdetr_d2.projects.co_detr.targets import PixelTargets
from hdetr_d2.structures import BACKGROUND, NO_LOSS, Assignment

_INSIDE = 0.01
"""Minimum distance of an anchor's centre to the sides of its target, in pixels."""


def assign_by_statistics(anchors: Anchors, targets: PixelTargets, per_level: int = 9) -> Assignment:
    """The assignment `Tensor[B, N]` of anchors; `NO_LOSS` outside of an image.

    In every level, the anchors nearest to a target are its candidates. It takes those whose IoU
    reaches the mean of all candidates plus their standard deviation, and whose centre it contains.
    An anchor taken by several targets goes to the one with the largest IoU, the first one in case
    of a tie.

    Args:
        anchors: of the pyramid.
        targets: of the B images.
        per_level: candidates per target and level; all anchors if there are fewer.
    """
    index, real = _candidates(anchors, targets, per_level)
    iou = box_iou(anchors.boxes[index], targets.boxes[:, :, None])  # [B, G, n]
    inside = side_distances(anchors.centres[index], targets.boxes[:, :, None]).amin(-1) > _INSIDE
    taken = real & inside & (iou >= _threshold(iou, real))
    answer = _largest(index, iou.masked_fill(~taken, -1.0), anchors.valid.shape[1])
    return torch.where(anchors.valid, answer, NO_LOSS)


def _candidates(anchors: Anchors, targets: PixelTargets, count: int) -> tuple[Tensor, Tensor]:
    """Indices of the anchors nearest to each target, and whether they are real, `Tensor[B, G, n]`
    each: if an image has fewer of them in a level than the batch, some are not.
    """
    distance = torch.cdist(
        box_centres(targets.boxes), anchors.centres, compute_mode="donot_use_mm_for_euclid_dist"
    )
    distance = distance.masked_fill(~anchors.valid[:, None], float("inf"))
    nearest, index = best_of_levels(distance, anchors.lengths, count, largest=False)
    return index, nearest.isfinite() & targets.valid[..., None]


def _threshold(iou: Tensor, real: Tensor) -> Tensor:
    """Mean plus unbiased standard deviation of the real values in `Tensor[B, G, n]`,
    `Tensor[B, G, 1]`.
    """
    count = real.sum(2, keepdim=True)
    mean = torch.where(real, iou, 0.0).sum(2, keepdim=True) / count.clamp(min=1)
    squares = torch.where(real, iou - mean, 0.0).square().sum(2, keepdim=True)
    return mean + (squares / (count - 1).clamp(min=1)).sqrt()


def _largest(index: Tensor, iou: Tensor, length: int) -> Assignment:
    """For each of `length` anchors, the target with the largest IoU above 0, or `BACKGROUND`,
    `Tensor[B, length]`.

    Args:
        index: anchors, `Tensor[B, G, n]`.
        iou: of these with the target, -1 where it does not take them.
    """
    batch, most, _ = index.shape
    flat, value = index.flatten(1), iou.flatten(1)
    best = value.new_zeros(batch, length).scatter_reduce(1, flat, value, "amax")
    number = torch.arange(most, device=index.device)[:, None].expand_as(index).flatten(1)
    number = torch.where((value > 0) & (value == best.gather(1, flat)), number, most)
    answer = torch.full_like(best, most, dtype=torch.int64)
    answer = answer.scatter_reduce(1, flat, number, "amin")
    return torch.where(answer < most, answer, BACKGROUND)
