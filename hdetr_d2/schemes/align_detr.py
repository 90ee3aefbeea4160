"""Align-DETR (https://arxiv.org/abs/2304.07527): one-to-many matching of the main queries in all
layers but the last, with less weight on queries that fit their target less.
"""

from hdetr_d2.matching import Ranked
from hdetr_d2.schemes.base import Scheme, check_at_least
from hdetr_d2.structures import Assigner, Match


class AlignDETR(Scheme):
    """Main queries, and the proposals of a two-stage model, are matched one-to-many and weighted by
    their rank; the last layer is matched one-to-one. Made for the IoU-aware loss, whose targets are
    multiplied by the weights; with other class losses only the box losses are weighted.

    Args:
        repeats: queries per target, in the proposals and in all layers but the last.
        tau: how far down the ranking queries count, see `Ranked`.
        mix: the influence of the score on the ranking.

    Raises:
        ValueError: fewer than one repetition.
    """

    sets_capacity = True

    def __init__(self, *, repeats: int = 2, tau: float = 1.5, mix: float = 0.25) -> None:
        super().__init__()
        check_at_least(1, repeats=repeats)
        self.repeats = repeats
        self.tau = tau
        self.mix = mix

    def capacity(self, layer: int, num_layers: int, progress: float) -> int:
        return self.repeats if layer + 1 < num_layers else 1

    def assigner_of_main(self, assigner: Assigner) -> Assigner:
        return Ranked(assigner=assigner, tau=self.tau, mix=self.mix)

    def assigner_of_proposals(self, assigner: Assigner) -> Assigner:
        return self.assigner_of_main(Match((self.repeats,)))
