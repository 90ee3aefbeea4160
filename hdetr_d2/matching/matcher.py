"""The Hungarian matcher (DETR, https://arxiv.org/abs/2005.12872), run over a whole training step in
one call.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import groupby, islice

import torch
from torch import Tensor, nn

from hdetr_d2.ops import AnyClassCost, CostWeights, batched_assignment, matching_cost
from hdetr_d2.structures import Assignment, GroupOutput
from hdetr_d2.utils.observation import observe

COST_TERMS = ("class", "bbox", "giou")
"""The terms of a matching cost: class, L1 of cxcywh, and GIoU."""

NONFINITE_COSTS = "matching/nonfinite"
"""In every call the matcher records the observation `NONFINITE_COSTS/<group>` ("main" for the main
group): `Tensor[L, B, 3]`, the number of target-query pairs in which each term was not finite.
"""


class HungarianMatcher(nn.Module):
    """Assigns targets to queries at the least total cost.

    Args:
        weights: of the costs "class", "bbox" (L1 of cxcywh) and "giou".

    Raises:
        ValueError: unknown names, or invalid weights.
    """

    def __init__(self, *, weights: Mapping[str, float]) -> None:
        super().__init__()
        self.weights = _checked(weights)

    @torch.no_grad()
    def forward(
        self,
        outputs: Sequence[GroupOutput],
        class_cost: AnyClassCost,
        progress: float = 1.0,
    ) -> list[Assignment]:
        """An assignment `Tensor[L, B, Q]` for each output whose group asks for matching. All share
        the same targets, except for their labels, and are solved in one call.

        All outputs belong to the same batch. Each block of a group is matched separately.

        Args:
            class_cost: `ClassLoss.matching_cost` of the loss that the queries are trained with, or
                any `hdetr_d2.ops.ClassCost` or `PlacedCost`. It must be finite everywhere;
                otherwise the step counts as a bad one. A cost above 1e30 forbids a pair.
            progress: training progress, in [0, 1].
        """
        answers: dict[int, Assignment] = {}
        for key in dict.fromkeys(id(output.targets.valid) for output in outputs):
            places = [i for i, output in enumerate(outputs) if id(output.targets.valid) == key]
            solved = self._solve([outputs[i] for i in places], class_cost, progress)
            answers.update(zip(places, solved, strict=True))
        return [answers[i] for i in range(len(outputs))]

    def _solve(
        self, outputs: Sequence[GroupOutput], class_cost: AnyClassCost, progress: float
    ) -> list[Assignment]:
        """The same for outputs whose targets differ only in labels."""
        costs, capacities = list[Tensor](), list[int]()
        for output in outputs:
            each, layers = _runs(output)
            capacities += each
            cost = self.cost(output, class_cost, progress)
            costs += [part.flatten(0, 1) for part in cost.split(layers)]
        solved = iter(batched_assignment(costs, outputs[0].targets.counts, capacities))
        return [_collect(output, solved) for output in outputs]

    def cost(self, output: GroupOutput, class_cost: AnyClassCost, progress: float = 1.0) -> Tensor:
        """The cost of every target with every query of its image, in each of R blocks of N queries:
        `Tensor[L, R * B, G, N]` float32. Costs that are not finite become infinite and are
        recorded.
        """
        class_cost, weights = self.terms(class_cost, progress)
        predictions, targets = output.predictions, output.targets
        layers, images = predictions.boxes.shape[:2]
        cost, nonfinite = matching_cost(
            _fold_blocks(predictions.logits, output.group.blocks),
            _fold_blocks(predictions.boxes, output.group.blocks),
            targets.labels,
            targets.boxes,
            targets.counts,
            class_cost=class_cost,
            weights=weights,
        )
        of_blocks = nonfinite.unflatten(0, (layers, output.group.blocks, images))
        observe(f"{NONFINITE_COSTS}/{output.group.name or 'main'}", of_blocks.sum(1))
        return cost.unflatten(0, (layers, output.group.blocks * images))

    def phase(self, progress: float) -> Hashable:
        """What in the cost depends on the training progress."""
        return None

    def terms(self, class_cost: AnyClassCost, progress: float) -> tuple[AnyClassCost, CostWeights]:
        """The terms of the cost at this `progress`, given this class cost."""
        return class_cost, self.weights


def _checked(weights: Mapping[str, float]) -> CostWeights:
    if set(weights) != set(COST_TERMS):
        raise ValueError(f"matcher.weights must name {sorted(COST_TERMS)}, not {sorted(weights)}.")
    values = [weights[term] for term in COST_TERMS]
    if not all(0 <= value < math.inf for value in values) or not any(values):
        raise ValueError(
            f"matcher.weights must be at least 0, finite and not all 0, not {dict(weights)}."
        )
    return CostWeights(*values)


def _runs(output: GroupOutput) -> tuple[list[int], list[int]]:
    """The capacity and length of each run of layers with equal capacity: a single run, unless the
    capacity differs by layer.
    """
    group = output.group
    if not group.assigner.hungarian:
        raise TypeError(
            f"The group {group.name!r} finds its targets by itself: there is nothing to match."
        )
    runs = [(each, len(list(layers))) for each, layers in groupby(group.assigner.capacity)]
    return [each for each, _ in runs], [layers for _, layers in runs]


def _fold_blocks(x: Tensor, blocks: int) -> Tensor:
    """Makes each block a problem of its own: `Tensor[L, B, R * N, ...]` to
    `Tensor[L * R * B, N, ...]`.
    """
    return x.unflatten(2, (blocks, x.shape[2] // blocks)).transpose(1, 2).flatten(0, 2)


def _collect(output: GroupOutput, solved: Iterator[Tensor]) -> Assignment:
    """Takes the next answers and arranges them by the layers and blocks of `output`."""
    runs, _ = _runs(output)
    answers = torch.cat(list(islice(solved, len(runs))))  # [L * R * B, N]
    layers, images, _ = output.predictions.boxes.shape[:3]
    by_block = answers.unflatten(0, (layers, output.group.blocks, images))
    return by_block.transpose(1, 2).flatten(2)
