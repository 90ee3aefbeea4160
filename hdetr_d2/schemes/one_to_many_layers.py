"""One-to-many assignment by IoU and score in the first decoder layers, one-to-one matching in the
others (MDS-DETR, https://arxiv.org/abs/2605.23507).
"""

from hdetr_d2.matching import EarlyLayers, TopKByScore
from hdetr_d2.schemes.base import Scheme, check_at_least
from hdetr_d2.structures import Assigner


class OneToManyLayers(Scheme):
    """The main queries learn one-to-many in the first layers. The last decoder layer is always
    one-to-one, because it makes the detections.

    Args:
        num_layers: number of first layers; None for all but the last.
        topk, threshold, iou_weight, cap: see `TopKByScore`.

    Raises:
        ValueError: fewer than one layer, or an option out of range.
    """

    sets_capacity = True

    def __init__(
        self,
        *,
        num_layers: int | None = None,
        topk: int = 6,
        threshold: float = 0.4,
        iou_weight: float = 0.7,
        cap: float = 1.0,
    ) -> None:
        super().__init__()
        check_at_least(1, num_layers=1 if num_layers is None else num_layers)
        self.num_layers = num_layers
        self.assigner = TopKByScore(topk=topk, threshold=threshold, iou_weight=iou_weight, cap=cap)

    def assigner_of_main(self, assigner: Assigner) -> Assigner:
        most = len(assigner.capacity) - 1
        early = most if self.num_layers is None else min(self.num_layers, most)
        return EarlyLayers(self.assigner, early, assigner) if early else assigner
