"""Detections that lower the scores of those they overlap (Soft-NMS,
https://arxiv.org/abs/1704.04503).
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop

from hdetr_d2.modeling.picks import BestPairs, Picked
from hdetr_d2.ops import box_cxcywh_to_xyxy, box_iou


class SoftNMSPairs:
    """The best pairs of query and class, each lowering the scores of overlapping pairs of its
    class, best first; there are as many candidates as queries.

    Args:
        iou_threshold: boxes with a lower IoU do not affect each other.
        min_score: pairs whose score falls below it are dropped.
    """

    def __init__(self, *, iou_threshold: float = 0.8, min_score: float = 1e-3) -> None:
        self.iou_threshold = iou_threshold
        self.min_score = min_score

    def __call__(self, scores: Tensor, boxes: Tensor, num_select: int) -> Picked:
        """Rows beyond the last detection of an image have the score -inf."""
        lower = partial(lowering, threshold=self.iou_threshold)
        return suppress(scores, boxes, num_select, lower, self.min_score)


def suppress(
    scores: Tensor,
    boxes: Tensor,
    num_select: int,
    lower: Callable[[Tensor, Tensor], Tensor],
    min_score: float,
) -> Picked:
    """Soft-NMS of the best pairs of query and class, as many as there are queries.

    Args:
        scores, boxes, num_select: see `Pick`.
        lower: maps the IoU of pairs, and whether they are of the same class, `Tensor[B, Q, Q]`
            both, to the factors by which they lower each other's scores.
        min_score: pairs whose score falls below it are dropped.
    """
    pairs = BestPairs()(scores, boxes, scores.shape[1])
    factors = lower(*overlaps(pairs, boxes))

    def factors_of(place: Tensor) -> Tensor:
        return factors.gather(1, place[..., None].expand_as(factors[:, :1]))[:, 0]

    best, order = soft_nms(pairs.scores, factors_of, min_score, num_select)
    return Picked(best, pairs.labels.gather(1, order), pairs.queries.gather(1, order))


def overlaps(pairs: Picked, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """The IoU of pairs, and whether they are of the same class, `Tensor[B, N, N]` both; `boxes` are
    those of the queries.
    """
    places = pairs.queries[..., None].expand(-1, -1, 4)
    corners = box_cxcywh_to_xyxy(boxes).clamp(0, 1).gather(1, places)
    corners = corners.mT.contiguous().mT  # contiguous per coordinate: much faster on a CPU
    iou = box_iou(corners[:, :, None], corners[:, None])
    return iou, pairs.labels[:, :, None] == pairs.labels[:, None]


def lowering(iou: Tensor, same: Tensor, threshold: float) -> Tensor:
    """The factor by which a selected box lowers the scores of others: 1 for boxes below the
    threshold, or of another class. Arguments and result are tensors of the same shape.
    """
    return torch.where(same & (iou >= threshold), 1 - iou, 1.0)


def soft_nms(
    scores: Tensor, factors_of: Callable[[Tensor], Tensor], min_score: float, num_select: int
) -> tuple[Tensor, Tensor]:
    """Repeatedly selects the highest score and lowers the others by its factors.

    Args:
        scores: `Tensor[B, N]`.
        factors_of: maps the selected indices, `Tensor[B, 1]`, to factors on the scores,
            `Tensor[B, N]`.
        min_score: scores below it are dropped; only the first selected one may be lower from the
            start.
        num_select: maximum number of selections.

    Returns:
        Scores and indices of the selected ones, `Tensor[B, min(N, num_select)]` each; -inf and an
        arbitrary index once none are left.
    """
    rounds = min(num_select, scores.shape[1])
    if torch.compiler.is_exporting():
        return _taken_in_a_graph(scores, factors_of, min_score, rounds)
    left, taken = scores, list[tuple[Tensor, Tensor]]()
    for _ in range(rounds):
        best, place, left = _take(left, factors_of, min_score)
        taken.append((best, place))
    if not taken:
        return scores[:, :0], scores[:, :0].long()
    values, places = zip(*taken, strict=True)
    return torch.cat(values, 1), torch.cat(places, 1)


def _take(
    left: Tensor, factors_of: Callable[[Tensor], Tensor], min_score: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The best score in `left`, its index, and the lowered scores of the others."""
    best, place = left.max(1, keepdim=True)
    lowered = left * factors_of(place)
    # -inf times a factor of 0 is NaN.
    lowered = lowered.masked_fill(~(lowered >= min_score), -torch.inf)
    return best, place, lowered.scatter(1, place, -torch.inf)


def _taken_in_a_graph(
    scores: Tensor, factors_of: Callable[[Tensor], Tensor], min_score: float, rounds: int
) -> tuple[Tensor, Tensor]:
    """All rounds, as a loop that is stored once in an exported graph."""

    def goes_on(number: Tensor, *_: Tensor) -> Tensor:
        return number < rounds

    def body(
        number: Tensor, left: Tensor, values: Tensor, places: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        best, place, after = _take(left, factors_of, min_score)
        column = number.expand(left.shape[0], 1)
        return number + 1, after, values.scatter(1, column, best), places.scatter(1, column, place)

    values = scores.new_full((scores.shape[0], rounds), -torch.inf)
    start = (torch.tensor(0), scores, values, torch.zeros_like(values).long())
    return while_loop(goes_on, body, start)[2:]
