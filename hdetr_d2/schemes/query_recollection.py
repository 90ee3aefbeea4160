"""Selective query recollection (SQR, https://arxiv.org/abs/2212.07593): a layer also processes
queries that the previous layer has not seen.
"""

from hdetr_d2.schemes.base import Context, Contribution, Scheme
from hdetr_d2.structures import Match, QueryGroup, Start


class QueryRecollection(Scheme):
    """Besides the outputs of the previous layer, a layer takes the inputs of the previous layer:
    main queries that skip a layer, and everything derived from them. With six layers, the second
    layer processes 2 sets of queries, the others 3, 5, 8 and 13. Each set is matched separately,
    with as many queries per target as the main set, and has the same weight, whatever objectives
    other schemes add to the main queries. A set continues from the boxes it has reached.

    The sets that enter layer 3 are the blocks of the group `recollected_from3`.

    Args:
        weight: of their losses, relative to those of the main queries.
        name: prefix of the groups' names.
    """

    def __init__(self, *, weight: float = 1.0, name: str = "recollected") -> None:
        super().__init__(name)
        self.weight = weight

    def contribute(self, context: Context) -> Contribution:
        groups: list[QueryGroup] = []
        for layer in range(1, context.num_layers):
            # The inputs of the previous layer are the outputs of the one before it.
            given = [context.main, *(each for each in groups if each.first_layer < layer - 1)]
            start = Start(layer=layer, passed=layer - 1, of=tuple(each.name for each in given))
            groups.append(self._group(context.main, start, sum(each.blocks for each in given)))
        return Contribution(groups)

    def _group(self, main: QueryGroup, start: Start, blocks: int) -> QueryGroup:
        return QueryGroup(
            name=f"{self.name}_from{start.layer}",
            queries=main.queries.map(lambda part: part.repeat(1, blocks, 1)),
            assigner=Match(main.assigner.capacity[start.layer :]),
            weight=self.weight * main.weight,
            blocks=blocks,
            start=start,
        )
