"""DAC-DETR (https://openreview.net/forum?id=8JMexYVcXB): the cross-attention of the main queries
also learns without self-attention, from one-to-many assignment.
"""

from hdetr_d2.matching import Ranked, TopKByScore
from hdetr_d2.schemes.base import Context, Contribution, Scheme
from hdetr_d2.structures import Assigner, QueryGroup


class DACDETR(Scheme):
    """A second stream of the main queries through the same layers, which passes by self-attention:
    it starts from what the main queries are after that of the first layer, moves boxes of its own,
    and every target takes the queries that fit it best.

    Args:
        topk, threshold, iou_weight, cap: of `TopKByScore`.
        tau: of `Ranked`; None where all queries of a target count alike.
        normaliser_factor: losses are divided by the objects times this.
        weight: of its losses.
        name: of the group.
    """

    def __init__(
        self,
        *,
        topk: int = 6,
        threshold: float = 0.4,
        iou_weight: float = 0.7,
        cap: float = 0.25,
        tau: float | None = 1.5,
        normaliser_factor: float = 3.0,
        weight: float = 1.0,
        name: str = "dac",
    ) -> None:
        super().__init__(name)
        self.weight = weight
        self.assigner: Assigner = TopKByScore(
            topk=topk,
            threshold=threshold,
            iou_weight=iou_weight,
            cap=cap,
            last_wins=True,
            normaliser_factor=normaliser_factor,
        )
        if tau is not None:
            self.assigner = Ranked(assigner=self.assigner, tau=tau, normaliser_factor=None)

    def contribute(self, context: Context) -> Contribution:
        group = QueryGroup(
            name=self.name,
            queries=context.main.queries,
            assigner=self.assigner,
            weight=self.weight,
            attends=False,
            branches_from=context.main.name,
        )
        return Contribution([group])
