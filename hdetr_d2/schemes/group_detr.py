"""Group DETR (https://arxiv.org/abs/2207.13085): several groups of queries, each with one-to-one
matching.
"""

from torch import Tensor

from hdetr_d2.schemes.base import Context, Contribution, Scheme, check_at_least
from hdetr_d2.structures import Match, Queries, QueryGroup


class GroupDETR(Scheme):
    """Additional blocks of queries, each as large as the main group; all groups have equal weight
    in the loss. If an image is too small to provide proposals for all blocks, only the main group
    is trained.

    Args:
        groups: number of groups, including the main one.
        name: of the additional groups.

    Raises:
        ValueError: fewer than two groups.
    """

    def __init__(self, *, groups: int, name: str = "group") -> None:
        super().__init__(name)
        check_at_least(2, groups=groups)
        self.groups = groups

    def slots(self, num_queries: int) -> int:
        return (self.groups - 1) * num_queries

    def main_weight(self, context: Context) -> float:
        slots = context.slots[self.name].content.shape[1]
        return 1 / self.groups if slots >= self.groups - 1 else 1.0

    def contribute(self, context: Context) -> Contribution:
        blocks = self.groups - 1
        group = QueryGroup(
            name=self.name,
            queries=_deal_out(context.slots[self.name], blocks),
            assigner=Match((1,) * context.num_layers),
            weight=1 / self.groups,
            blocks=blocks,
        )
        return Contribution([group])


def _deal_out(queries: Queries, blocks: int) -> Queries:
    """Splits the queries into equal blocks; what is left over (for images that are too small) is
    dropped.

    Dealt out one by one: proposals are sorted by rank, so that each block gets all ranks.
    """
    size = queries.content.shape[1] // blocks

    def deal(part: Tensor) -> Tensor:
        return part[:, : size * blocks].unflatten(1, (size, blocks)).transpose(1, 2).flatten(1, 2)

    return queries.map(deal)
