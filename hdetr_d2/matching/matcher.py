"""The Hungarian matcher (DETR, https://arxiv.org/abs/2005.12872) over a whole training step in one
call.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from hdetr_d2.ops import ClassCost, CostWeights, batched_assignment, matching_cost
from hdetr_d2.structures import Assignment, Match, Output, Predictions, Targets

COST_TERMS = ("class", "bbox", "giou")
"""The parts of a matching cost: of the class, L1 of cxcywh, and GIoU."""

NONFINITE_COSTS = "matching/nonfinite"
"""`NONFINITE_COSTS/<group>` ("main" for the main one) is observed in every call: `Tensor[L, B, 3]`,
of the pairs of a target and a query, how many have such a `COST_TERMS` that is not finite.
"""


class HasMatchingCost(Protocol):
    """What the matcher asks of a class loss."""

    @property
    def matching_cost(self) -> ClassCost: ...


class HungarianMatcher(nn.Module):
    """Assigns targets to queries at the least total cost.

    Args:
        class_cost: gives the class cost, usually the class loss of the criterion.
        weights: of the costs "class", "bbox" (L1 of cxcywh) and "giou".
    """

    def __init__(self, *, class_cost: HasMatchingCost, weights: Mapping[str, float]) -> None:
        super().__init__()
        if set(weights) != {"class", "bbox", "giou"}:
            raise ValueError(
                f"matcher.weights must name ['bbox', 'class', 'giou'], not {sorted(weights)}."
            )
        self.class_cost = class_cost
        self.weights = dict(weights)

    @torch.no_grad()
    def forward(self, outputs: Sequence[Output]) -> list[Assignment]:
        """An assignment `Tensor[L, B, Q]` for each output, whose assigners are `Match`; all solved
        in one call.

        All outputs are of the same batch: their targets differ in labels only.
        """
        if not outputs:
            return []
        costs, capacities = [], []
        for output in outputs:
            cost = self.cost(output.predictions, output.targets)
            for part, capacity in _by_capacity(cost, _capacity(output)):
                costs.append(part.flatten(0, 1))
                capacities.append(capacity)
        solved = iter(batched_assignment(costs, outputs[0].targets.counts, capacities))
        return [_collect(output, solved) for output in outputs]

    def cost(self, predictions: Predictions, targets: Targets) -> Tensor:
        """The cost of every target with every query of its image: `Tensor[L, B, G, Q]` float32."""
        cost, _ = matching_cost(
            predictions.logits.flatten(0, 1),
            predictions.boxes.flatten(0, 1),
            targets.labels,
            targets.boxes,
            targets.counts,
            class_cost=self.class_cost.matching_cost,
            weights=CostWeights(*(self.weights[name] for name in ("class", "bbox", "giou"))),
        )
        return cost.unflatten(0, predictions.boxes.shape[:2])


def _capacity(output: Output) -> tuple[int, ...]:
    if not isinstance(output.assigner, Match):
        raise TypeError(
            f"The group {output.name!r} knows its assignment: there is nothing to match."
        )
    return output.assigner.capacity


def _by_capacity(cost: Tensor, capacity: Sequence[int]) -> list[tuple[Tensor, int]]:
    """The cost `Tensor[L, B, G, Q]` in runs of layers of equal capacity: one, unless it differs by
    layer.
    """
    if len(set(capacity)) == 1:
        return [(cost, capacity[0])]
    return [(layer[None], each) for layer, each in zip(cost, capacity, strict=True)]


def _collect(output: Output, solved: Iterator[Tensor]) -> Assignment:
    """The next answers put together as the layers of `output`."""
    capacity = _capacity(output)
    runs = 1 if len(set(capacity)) == 1 else len(capacity)
    return torch.cat([next(solved) for _ in range(runs)]).view(output.predictions.boxes.shape[:3])
