"""Detections without those that overlap a better one: non-maximum suppression."""

import torch
from torch import Tensor

from hdetr_d2.modeling.picks import BestPairs, Picked
from hdetr_d2.modeling.soft_nms import overlaps


class NMSPairs:
    """The best pairs of a query and a class, but for those that overlap a better one of their
    class, best first. As many pairs take part as there are queries, or as are wanted if these are
    more. The host waits for no device.

    Args:
        iou_threshold: boxes that overlap by more than that are of one object.
    """

    def __init__(self, *, iou_threshold: float = 0.7) -> None:
        self.iou_threshold = iou_threshold

    def __call__(self, scores: Tensor, boxes: Tensor, num_select: int) -> Picked:
        """Rows behind the last detection of an image have the score -inf."""
        pairs = BestPairs()(scores, boxes, max(scores.shape[1], num_select))
        iou, same = overlaps(pairs, boxes)
        taken = keep_best(same & (iou > self.iou_threshold), num_select)
        left = pairs.scores.masked_fill(~taken, -torch.inf)
        best, order = left.sort(dim=1, descending=True, stable=True)
        best, order = best[:, :num_select], order[:, :num_select]
        return Picked(best, pairs.labels.gather(1, order), pairs.queries.gather(1, order))


def keep_best(same_object: Tensor, most: int) -> Tensor:
    """Which stay of things that are in order, the best first: those that are not of one object with
    a better one that stays.

    Args:
        same_object: `Tensor[B, N, N]` bool, symmetric.
        most: the answer is right up to so many that stay.

    Returns:
        `Tensor[B, N]` bool.
    """
    hides = same_object.triu(1).float()
    stays = hides.new_ones(hides.shape[:2])
    # Where all is right up to one that stays, one round hides what that one hides, and a second one
    # frees the next that stays. A host that need not wait sees much earlier that nothing changes.
    may_look = same_object.device.type == "cpu" and not torch.compiler.is_compiling()
    for _ in range(min(2 * most, hides.shape[1] - 1)):
        before, stays = stays, (torch.einsum("bn,bnm->bm", stays, hides) == 0).float()
        if may_look and torch.equal(before, stays):
            break
    return stays.bool()
