"""The hybrid branch of H-DETR (https://arxiv.org/abs/2207.13080): one-to-many matching for queries
that are there in training only.
"""

from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.structures import Match, QueryGroup


class HybridBranch(Scheme):
    """A second group, of which a target takes several queries in every layer.

    Args:
        num_queries: of the second group.
        repeats: how many of them a target takes (the paper's K).
        weight: of its losses (the paper's lambda).

    Raises:
        ValueError: fewer than one query or repetition.
    """

    name = "one2many"

    def __init__(self, *, num_queries: int, repeats: int, weight: float = 1.0) -> None:
        super().__init__()
        check_at_least(1, num_queries=num_queries, repeats=repeats)
        self.num_queries = num_queries
        self.repeats = repeats
        self.weight = weight

    def slots(self, num_queries: int) -> int:
        return self.num_queries

    def contribute(self, context: Context) -> Contribution:
        assert context.slots is not None  # it asked for some
        match = Match((self.repeats,) * context.num_layers)
        return Contribution([QueryGroup(self.name, context.slots, match, self.weight)])
