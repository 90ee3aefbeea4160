"""The Hungarian matcher (DETR, https://arxiv.org/abs/2005.12872) over a whole training step in one
call.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from hdetr_d2.layers import box_cxcywh_to_xyxy, pairwise_generalized_box_iou
from hdetr_d2.ops import batched_assignment
from hdetr_d2.structures import Assignment, Match, Output, Predictions, Targets


class ClassCost(Protocol):
    """What the matcher asks of a class loss."""

    def cost(self, logits: Tensor, labels: Tensor) -> Tensor:
        """`Tensor[L, B, Q, K]` and `Tensor[B, G]` to `Tensor[L, B, G, Q]`."""


class HungarianMatcher(nn.Module):
    """Assigns targets to queries at the least total cost.

    Args:
        class_cost: gives the class cost, usually the class loss of the criterion.
        weights: of the costs "class", "bbox" (L1 of cxcywh) and "giou".
    """

    def __init__(self, *, class_cost: ClassCost, weights: Mapping[str, float]) -> None:
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
        with torch.autocast(predictions.boxes.device.type, enabled=False):
            boxes, target = predictions.boxes.float(), targets.boxes
            distances = ((boxes[..., None, :, i] - target[..., None, i]).abs() for i in range(4))
            giou = pairwise_generalized_box_iou(
                box_cxcywh_to_xyxy(target), box_cxcywh_to_xyxy(boxes)
            )
            return (
                self.weights["class"] * self.class_cost.cost(predictions.logits, targets.labels)
                + self.weights["bbox"] * sum(distances)
                - self.weights["giou"] * giou
            )


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
