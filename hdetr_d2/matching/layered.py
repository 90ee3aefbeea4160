"""Different assigners for different layers of a group."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from hdetr_d2.errors import MisfitError
from hdetr_d2.structures import (
    BACKGROUND,
    Assigner,
    Assignment,
    GroupOutput,
    Pairs,
    Scores,
    Step,
)


@dataclass
class EarlyLayers:
    """Uses one assigner for the first layers and another one, based on Hungarian matching, for the
    rest. The matching covers all layers, which costs little.

    early: assigner of the first layers, which needs no matching. number: how many layers that are.
    late: assigner of the rest, with the capacities of all layers.
    """

    hungarian: ClassVar[bool] = True
    assignment: ClassVar[None] = None
    sums_blocks: ClassVar[bool] = True
    early: Assigner
    number: int
    late: Assigner

    @property
    def capacity(self) -> tuple[int, ...]:
        return self.late.capacity

    def assign(self, output: GroupOutput, scores: Scores, matched: Assignment | None) -> Pairs:
        assert matched is not None  # a Hungarian assigner always gets it
        first, rest = slice(self.number), slice(self.number, None)
        learned = (
            self.early.assign(_layers(output, first), scores, None),
            self.late.assign(_layers(output, rest), scores, matched[rest]),
        )
        most, targets = max(self.capacity[rest]), output.targets.labels.shape[1]
        return _join([Pairs.of(part, targets, most) for part in learned])

    def normaliser(self, step: Step) -> Tensor:
        late = self.late.normaliser(step)[self.number :]
        return torch.cat([self.early.normaliser(step).expand(self.number), late])


def _layers(output: GroupOutput, part: slice) -> GroupOutput:
    """The output restricted to these layers."""
    found = output.predictions
    return replace(
        output, predictions=replace(found, logits=found.logits[part], boxes=found.boxes[part])
    )


def _join(parts: list[Pairs]) -> Pairs:
    """Concatenates the layers of two assignments; neither may carry anything more.

    Raises:
        MisfitError: one does.
    """
    said = [each for part in parts for each in (part.weights, part.quality, part.importance)]
    if any(each is not None for each in said):
        raise MisfitError("Assigners of different layers cannot weigh or grade their pairs.")
    widest = max(part.queries.shape[-1] for part in parts)
    queries = [
        torch.nn.functional.pad(
            part.queries, (0, widest - part.queries.shape[-1]), value=BACKGROUND
        )
        for part in parts
    ]
    return Pairs(torch.cat(queries), torch.cat([part.assignment for part in parts]))
