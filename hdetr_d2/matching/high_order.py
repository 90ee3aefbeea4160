"""The matcher of Rank-DETR."""

from collections.abc import Mapping

from hdetr_d2.matching.matcher import HungarianMatcher
from hdetr_d2.ops import AnyClassCost, CostWeights, HighOrderCost


class HighOrderMatcher(HungarianMatcher):
    """Late in training, the cost becomes minus the probability times a power of the IoU (Rank-DETR,
    https://arxiv.org/abs/2310.08854), so that the query with the highest score is also the one that
    fits best.

    Args:
        weights: of the costs used before that, see `HungarianMatcher`.
        order: exponent of the IoU.
        start: training progress, in [0, 1], at which this cost takes over.

    Raises:
        ValueError: a start outside of [0, 1].
    """

    def __init__(
        self, *, weights: Mapping[str, float], order: float = 4.0, start: float = 0.75
    ) -> None:
        super().__init__(weights=weights)
        if not 0 <= start <= 1:
            raise ValueError(f"matcher.start={start} is no part of a training, in [0, 1].")
        self.order = order
        self.start = start

    def phase(self, progress: float) -> bool:
        return progress >= self.start

    def terms(self, class_cost: AnyClassCost, progress: float) -> tuple[AnyClassCost, CostWeights]:
        if not self.phase(progress):
            return super().terms(class_cost, progress)
        return HighOrderCost(self.order), CostWeights(1.0, 0.0, 0.0)
