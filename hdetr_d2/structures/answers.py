"""Objectives of queries without targets: the predictions of another network."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from hdetr_d2.structures.step import Step
from hdetr_d2.utils.distributed import mean_over_processes

if TYPE_CHECKING:
    from hdetr_d2.structures.assignment import Assignment, Scores
    from hdetr_d2.structures.predictions import GroupOutput


@dataclass
class Answers:
    """The desired predictions of a group's queries, in every layer.

    scores: `Tensor[B, Q, K]` in [0, 1], of the classes. boxes: `Tensor[B, Q, 4]` cxcywh in [0, 1].
    weights: `Tensor[B, Q]`, factors on the losses of each query.
    """

    scores: Tensor
    boxes: Tensor
    weights: Tensor


@dataclass
class Answered:
    """An assigner without targets: the desired predictions are given, and the losses are divided by
    the sum of their weights.
    """

    hungarian: ClassVar[bool] = False
    assignment: ClassVar[None] = None
    capacity: ClassVar[tuple[int, ...]] = ()
    sums_blocks: ClassVar[bool] = True
    answers: Answers

    def assign(
        self, output: "GroupOutput", scores: "Scores", matched: "Assignment | None"
    ) -> Answers:
        return self.answers

    def normaliser(self, step: Step) -> Tensor:
        """The rest of the step is assumed to have as much as these images."""
        weights = self.answers.weights.sum().to(step.ground_truths.dtype)
        return mean_over_processes(weights) / step.share
