"""The hybrid branch of H-DETR (https://arxiv.org/abs/2207.13080): one-to-many matching of
additional queries that exist only in training.
"""

from collections.abc import Callable

from torch import nn

from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.structures import PROPOSALS, Group, Match, QueryGroup


class HybridBranch(Scheme):
    """A second query group in which each target is matched to several queries in every layer.

    Args:
        num_queries: size of the second group.
        repeats: queries per target (the paper's K).
        alone: disable self-attention among its queries, as in the second decoder of DAC-DETR
            (https://neurips.cc/virtual/2023/poster/72656): duplicates are then learned by the main
            queries only, which can see each other.
        weight: of its losses (the paper's lambda); or a function of the training progress in [0,
            1], such as `CosineRamp`.
        proposal_heads: separate class and box heads for the proposals of this group, which are
            matched to as many queries per target (Relation-DETR, https://arxiv.org/abs/2407.11699).
            None takes the proposals that rank behind the main ones.
        name: of the group.

    Raises:
        ValueError: fewer than one query or repetition.
    """

    def __init__(
        self,
        *,
        num_queries: int,
        repeats: int,
        alone: bool = False,
        weight: float | Callable[[float], float] = 1.0,
        proposal_heads: nn.Module | None = None,
        name: str = "one2many",
    ) -> None:
        super().__init__(name)
        check_at_least(1, num_queries=num_queries, repeats=repeats)
        self.num_queries = num_queries
        self.repeats = repeats
        self.alone = alone
        self.weight = weight
        self.heads = proposal_heads

    def proposal_heads(self) -> nn.Module | None:
        return self.heads

    def slots(self, num_queries: int) -> int:
        return self.num_queries

    def phase(self, progress: float) -> float:
        return self.weight(progress) if callable(self.weight) else self.weight

    def contribute(self, context: Context) -> Contribution:
        weight = self.phase(context.step.progress)
        group = QueryGroup(
            name=self.name,
            queries=context.slots[self.name],
            assigner=Match((self.repeats,) * context.num_layers),
            weight=weight,
            alone=self.alone,
        )
        if self.heads is None:
            return Contribution([group])
        proposals = Group(
            name=f"{self.name}_{PROPOSALS}", assigner=Match((self.repeats,)), weight=weight
        )
        return Contribution([group], proposals=proposals)
