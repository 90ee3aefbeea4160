"""Detections without those that overlap a better one: non-maximum suppression."""

import torch
from torch import Tensor

from hdetr_d2.modeling.picks import Picked
from hdetr_d2.modeling.soft_nms import suppress

SMALLEST = torch.finfo(torch.float32).tiny


class NMSPairs:
    """The best pairs of a query and a class, but for those that overlap a better one of their
    class, best first; as many pairs take part as there are queries. The host waits for nothing.

    Args:
        iou_threshold: boxes that overlap by more than that are of one object.
    """

    def __init__(self, *, iou_threshold: float = 0.7) -> None:
        self.iou_threshold = iou_threshold

    def __call__(self, scores: Tensor, boxes: Tensor, num_select: int) -> Picked:
        """Rows behind the last detection of an image have the score -inf."""
        return suppress(scores, boxes, num_select, self._lower, SMALLEST)

    def _lower(self, iou: Tensor, same: Tensor) -> Tensor:
        return torch.where(same & (iou > self.iou_threshold), 0.0, 1.0)
