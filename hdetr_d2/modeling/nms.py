"""Detections without those that overlap a better one: non-maximum suppression."""

import torch
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop

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
        # Those that stay, then the others, in the order that they have; no two places are one.
        places = torch.arange(taken.shape[1], device=taken.device) + taken.shape[1] * ~taken
        order = places.topk(min(num_select, taken.shape[1]), largest=False).indices
        scores = pairs.scores.masked_fill(~taken, -torch.inf)
        return Picked(*(each.gather(1, order) for each in (scores, pairs.labels, pairs.queries)))


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
    # frees the next that stays.
    rounds = min(2 * most, hides.shape[1] - 1)
    if torch.compiler.is_exporting():
        return _rounds_of_a_graph(stays, hides, rounds).bool()
    # A host that need not wait sees much earlier that nothing changes.
    may_look = same_object.device.type == "cpu" and not torch.compiler.is_compiling()
    for _ in range(rounds):
        before, stays = stays, _round(stays, hides)
        if may_look and torch.equal(before, stays):
            break
    return stays.bool()


def _round(stays: Tensor, hides: Tensor) -> Tensor:
    """Those that nothing hides of what stayed until now, `Tensor[B, N]` of 0 and 1."""
    return (torch.einsum("bn,bnm->bm", stays, hides) == 0).float()


def _rounds_of_a_graph(stays: Tensor, hides: Tensor, most: int) -> Tensor:
    """All rounds, as a loop that an exported graph holds once and leaves when nothing changes."""

    def goes_on(number: Tensor, changed: Tensor, stays: Tensor) -> Tensor:
        return changed & (number < most)

    def body(number: Tensor, changed: Tensor, stays: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        after = _round(stays, hides)
        return number + 1, (after != stays).any(), after

    # Not `zeros(())`: OpenVINO cannot make that of what ONNX has for it.
    number, changed = torch.tensor(0), torch.tensor(True)
    return while_loop(goes_on, body, (number, changed, stays))[2]
