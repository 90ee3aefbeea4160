"""Different assigners for the layers of a group."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

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
    """An assigner that has one for the first layers, and another one, by Hungarian matching, for
    the rest of them. The matching is of all layers, which costs little.

    early: that of the first layers, which needs no matching. number: of these. late: that of the
    rest, with the capacities of all.
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
        assert matched is not None  # as an assigner that is hungarian gets it
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
    """The output of these layers alone."""
    found = output.predictions
    return replace(
        output, predictions=replace(found, logits=found.logits[part], boxes=found.boxes[part])
    )


def _join(parts: list[Pairs]) -> Pairs:
    """The layers of one after those of the other; neither may have more to say of them.

    Raises:
        ValueError: one has.
    """
    said = [each for part in parts for each in (part.weights, part.quality, part.importance)]
    if any(each is not None for each in said):
        raise ValueError("Assigners of different layers cannot weigh or grade their pairs.")
    widest = max(part.queries.shape[-1] for part in parts)
    queries = [
        torch.nn.functional.pad(
            part.queries, (0, widest - part.queries.shape[-1]), value=BACKGROUND
        )
        for part in parts
    ]
    return Pairs(torch.cat(queries), torch.cat([part.assignment for part in parts]))
