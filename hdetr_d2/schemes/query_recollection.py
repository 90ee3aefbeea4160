"""Selective query recollection (SQR, https://arxiv.org/abs/2212.07593): the queries of a layer are
also those that the layer before has not seen.
"""

from hdetr_d2.schemes.base import Context, Contribution, Scheme
from hdetr_d2.structures import Match, QueryGroup, Start


class QueryRecollection(Scheme):
    """A layer takes, besides the queries that the layer before gives it, those that were given to
    the layer before: main queries that have left a layer out, and what becomes of them. Of six
    layers the second takes 2 sets of queries, the others 3, 5, 8 and 13; each is matched by
    itself, with as many queries to a target as the main one has, and counts as much, whatever else
    a scheme has the main queries learn by. A set goes on from the boxes that it has come to.

    The sets that come into layer 3 are the blocks of the group `recollected_from3`.

    Args:
        weight: of their losses, beside those of the main queries.
        name: with which the names of the groups begin.
    """

    def __init__(self, *, weight: float = 1.0, name: str = "recollected") -> None:
        super().__init__(name)
        self.weight = weight

    def contribute(self, context: Context) -> Contribution:
        groups: list[QueryGroup] = []
        for layer in range(1, context.num_layers):
            # What the layer before was given came out of the one before that.
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
