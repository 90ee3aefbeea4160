"""DAC-DETR (https://openreview.net/forum?id=8JMexYVcXB): the main queries also learn one-to-many
assignment in a second pass without self-attention, which trains their cross-attention.
"""

from collections.abc import Sequence
from dataclasses import replace

from hdetr_d2.matching import Ranked, TopKByScore
from hdetr_d2.schemes.base import Context, Contribution, Scheme
from hdetr_d2.structures import Assigner, QueryGroup


class DACDETR(Scheme):
    """A second stream of the main queries through the same layers, without self-attention: it
    branches off after the self-attention of the first layer, refines its own boxes, and assigns to
    every target the queries that fit it best. Denoising queries can have such a stream too; it
    learns the same targets as the original.

    Args:
        topk, threshold, iou_weight, cap: of `TopKByScore`.
        tau: of `Ranked`; None gives all queries of a target equal weight.
        normaliser_factor: losses are divided by this times the number of objects.
        weight: of its losses.
        beside: groups that also get a second stream, from schemes earlier in the list. Their
            assignments must be known in advance. The stream's name is that of the main stream
            followed by the group's.
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
        """The second stream of a group, with the group's own objective."""
        alone = dict(attends=False, sees=(), attention_bias=None, tokens=None)
        return replace(group, name=name, branches_from=group.name, **alone)  # type: ignore[arg-type]
