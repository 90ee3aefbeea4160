"""Non-maximum suppression: detections without those that overlap a better one."""

import torch
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop

from hdetr_d2.modeling.picks import BestPairs, Picked
from hdetr_d2.modeling.soft_nms import overlaps


class NMSPairs:
    """The best pairs of query and class, without those that overlap a better one of the same class,
    best first. The number of candidates is the number of queries, or of wanted detections if that
    is larger. The host does not wait for the device.

    Args:
        iou_threshold: boxes with a higher IoU belong to the same object.
    """

    def __init__(self, *, iou_threshold: float = 0.7) -> None:
        self.iou_threshold = iou_threshold

    def __call__(self, scores: Tensor, boxes: Tensor, num_select: int) -> Picked:
        """Rows beyond the last detection of an image have the score -inf."""
        pairs = BestPairs()(scores, boxes, max(scores.shape[1], num_select))
        iou, same = overlaps(pairs, boxes)
        taken = keep_best(same & (iou > self.iou_threshold), num_select)
        # The kept ones, then the others, each in order; all places are distinct.
        places = torch.arange(taken.shape[1], device=taken.device) + taken.shape[1] * ~taken
        order = places.topk(min(num_select, taken.shape[1]), largest=False).indices
        scores = pairs.scores.masked_fill(~taken, -torch.inf)
        return Picked(*(each.gather(1, order) for each in (scores, pairs.labels, pairs.queries)))


def keep_best(same_object: Tensor, most: int) -> Tensor:
    """Which of the candidates, sorted best first, are kept: those that are not of the same object
    as a better one that is kept.

    Args:
        same_object: `Tensor[B, N, N]` bool, symmetric.
        most: the result is correct up to this many kept candidates.

    Returns:
        `Tensor[B, N]` bool.
    """
    hides = same_object.triu(1).float()
    stays = hides.new_ones(hides.shape[:2])
    # If the result is correct up to one kept candidate, one round suppresses what that one
    # suppresses, and a second round releases the next kept one.
    rounds = min(2 * most, hides.shape[1] - 1)
    if torch.compiler.is_exporting():
        return _rounds_of_a_graph(stays, hides, rounds).bool()
    # On the host, which need not wait, convergence is noticed much earlier.
    may_look = same_object.device.type == "cpu" and not torch.compiler.is_compiling()
    for _ in range(rounds):
        before, stays = stays, _round(stays, hides)
        if may_look and torch.equal(before, stays):
            break
    return stays.bool()


def _round(stays: Tensor, hides: Tensor) -> Tensor:
    """The candidates that no currently kept one suppresses, `Tensor[B, N]` of 0 and 1."""
    return (torch.einsum("bn,bnm->bm", stays, hides) == 0).float()


def _rounds_of_a_graph(stays: Tensor, hides: Tensor, most: int) -> Tensor:
    """All rounds, as a loop that is stored once in an exported graph and ends at convergence."""

    def goes_on(number: Tensor, changed: Tensor, stays: Tensor) -> Tensor:
        return changed & (number < most)

    def body(number: Tensor, changed: Tensor, stays: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        after = _round(stays, hides)
        return number + 1, (after != stays).any(), after

    # Not `zeros(())`: OpenVINO cannot run its ONNX equivalent.
    number, changed = torch.tensor(0), torch.tensor(True)
    return while_loop(goes_on, body, (number, changed, stays))[2]
