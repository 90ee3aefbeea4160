"""DAC-DETR (https://openreview.net/forum?id=8JMexYVcXB): the cross-attention of the main queries
also learns without self-attention, from one-to-many assignment.
"""

from collections.abc import Sequence
from dataclasses import replace

from hdetr_d2.matching import Ranked, TopKByScore
from hdetr_d2.schemes.base import Context, Contribution, Scheme
from hdetr_d2.structures import Assigner, QueryGroup


class DACDETR(Scheme):
    """A second stream of the main queries through the same layers, which passes by self-attention:
    it branches off after that of the first layer, moves boxes of its own, and every target takes
    the queries that fit it best. Queries of denoising have such a stream, too, and learn there what
    they learn in the other.

    Args:
        topk, threshold, iou_weight, cap: of `TopKByScore`.
        tau: of `Ranked`; None where all queries of a target count alike.
        normaliser_factor: losses are divided by the objects times this.
        weight: of its losses.
        beside: names of groups with a second stream, which is named after the main one's and after
            them, where schemes before this one add such groups, whose assignment is known.
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
        beside: Sequence[str] = ("dn",),
        name: str = "dac",
    ) -> None:
        super().__init__(name)
        self.weight = weight
        self.beside = tuple(beside)
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
        main = self._stream(context.main, self.name)
        main.assigner, main.weight = self.assigner, self.weight
        known = [group for group in context.others if group.name in self.beside]
        return Contribution([main, *(self._stream(g, f"{self.name}_{g.name}") for g in known)])

    def _stream(self, group: QueryGroup, name: str) -> QueryGroup:
        """The second stream of a group, which learns the same."""
        alone = dict(attends=False, sees=(), attention_bias=None, tokens=None)
        return replace(group, name=name, branches_from=group.name, **alone)  # type: ignore[arg-type]
