"""Which target each query learns, and who says so."""

from dataclasses import dataclass
from typing import ClassVar, Protocol, TypeAlias

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


class Assigner(Protocol):
    """How the queries of a group find their targets, and what their losses are divided by."""

    @property
    def assignment(self) -> Assignment | None:
        """Where it is known; None where targets are to be matched."""

    @property
    def capacity(self) -> tuple[int, ...]:
        """How many queries a target may take in each layer; none where nothing limits them."""

    @property
    def sums_blocks(self) -> bool:
        """Whether the losses of a group's blocks are summed, or else averaged."""

    def normaliser(self, step: Step) -> Tensor:
        """What the losses of each layer are divided by where it is at least 1, `Tensor[L]`."""


@dataclass
class Match:
    """An assigner: Hungarian matching."""

    assignment: ClassVar[None] = None
    sums_blocks: ClassVar[bool] = True
    capacity: tuple[int, ...]

    def normaliser(self, step: Step) -> Tensor:
        return step.ground_truths * to_device(self.capacity, step.ground_truths)


@dataclass
class Given:
    """An assigner that knows its answer (denoising).

    assignment: `Tensor[L, B, Q]`. repeats: queries of a target, in all blocks together.
    """

    sums_blocks: ClassVar[bool] = False
    assignment: Assignment
    repeats: int

    @property
    def capacity(self) -> tuple[int, ...]:
        return (self.repeats,) * len(self.assignment)

    def normaliser(self, step: Step) -> Tensor:
        return (step.ground_truths * self.repeats).expand(len(self.assignment))


@dataclass
class Counted:
    """An assigner that knows its answer, whose losses are divided by how many queries have a target
    (positive queries of another head).

    assignment: `Tensor[L, B, Q]`.
    """

    capacity: ClassVar[tuple[int, ...]] = ()
    sums_blocks: ClassVar[bool] = False
    assignment: Assignment

    def normaliser(self, step: Step) -> Tensor:
        """The rest of the step is taken to have as many as these images."""
        positives = (self.assignment >= 0).sum((1, 2)).to(step.ground_truths.dtype)
        return mean_over_processes(positives) / step.share
