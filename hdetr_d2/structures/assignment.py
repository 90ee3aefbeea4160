"""Which target each query learns, and who says so."""

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from torch import Tensor

from hdetr_d2.structures.step import Step
from hdetr_d2.utils.device import to_device
from hdetr_d2.utils.distributed import mean_over_processes

BACKGROUND = -1
"""In an `Assignment`: the query has no target and learns to be background."""

NO_LOSS = -2
"""In an `Assignment`: the query is padding and has no loss at all."""

Assignment: TypeAlias = Tensor
"""`Tensor[L, B, Q]` int64: for each query the index of its target, `BACKGROUND` or `NO_LOSS`."""


@dataclass
class Match:
    """An assigner: Hungarian matching; in layer l a target may take `capacity[l]` queries.

    sums_blocks: whether the losses of a group's blocks are summed, or else averaged.
    """

    sums_blocks: ClassVar[bool] = True
    capacity: tuple[int, ...]

    def targets_each(self) -> tuple[int, ...]:
        """How often a ground truth counts in the normaliser of each layer."""
        return self.capacity

    def normaliser(self, step: Step) -> Tensor:
        """What the losses of each layer are divided by where it is at least 1, `Tensor[L]`."""
        return step.ground_truths * to_device(self.targets_each(), step.ground_truths)


@dataclass
class Given:
    """An assigner that already knows its answer (denoising).

    assignment: `Tensor[L, B, Q]`. repeats: how often a ground truth counts in the normaliser, in
    all blocks together.
    """

    sums_blocks: ClassVar[bool] = False
    assignment: Assignment
    repeats: int

    def targets_each(self) -> tuple[int, ...]:
        return (self.repeats,) * self.assignment.shape[0]

    def normaliser(self, step: Step) -> Tensor:
        """See `Match.normaliser`."""
        return (step.ground_truths * self.repeats).expand(len(self.assignment))


@dataclass
class Counted:
    """An assigner that knows its answer, whose losses are divided by how many queries have a target
    (positive queries of another head).

    assignment: `Tensor[L, B, Q]`.
    """

    sums_blocks: ClassVar[bool] = False
    assignment: Assignment

    def normaliser(self, step: Step) -> Tensor:
        """See `Match.normaliser`; the rest of the step is taken to have as many as these images."""
        positives = (self.assignment >= 0).sum((1, 2)).to(step.ground_truths.dtype)
        return mean_over_processes(positives) / step.share


Assigner: TypeAlias = Match | Given | Counted
