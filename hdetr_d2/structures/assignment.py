"""Assignments of targets to queries, and the interface of assigners."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import pad

from hdetr_d2.structures.answers import Answers
from hdetr_d2.structures.step import Step
from hdetr_d2.utils.device import to_device
from hdetr_d2.utils.distributed import mean_over_processes

if TYPE_CHECKING:
    from hdetr_d2.structures.predictions import GroupOutput

BACKGROUND = -1
"""In an `Assignment`: the query has no target and learns background."""

NO_LOSS = -2
"""In an `Assignment`: the query is padding, or ignored, and has no loss at all."""

Assignment: TypeAlias = Tensor
"""`Tensor[L, B, Q]` int64: for each query the index of its target, `BACKGROUND` or `NO_LOSS`."""


@dataclass
class Pairs:
    """Pairs of a target and a query that learns it; a query may serve several targets.

    queries: `Tensor[L, B, G, N]` int64, the queries of each target, `BACKGROUND` in unused places.
    assignment: `Tensor[L, B, Q]`: for each query, the one of its targets whose class it learns.
    weights: `Tensor[L, B, G, N]`, factors on each pair's box losses and on the query's target score
    for the class; None is 1. quality: `Tensor[L, B, G, N]`: the quality of each pair, for class
    losses that use it; if None, they measure it themselves. importance: `Tensor[L, B, Q]`, factors
    on the class loss of each query, whatever it learns, in which case target scores are not scaled;
    None is 1.
    """

    queries: Tensor
    assignment: Assignment
    weights: Tensor | None = None
    quality: Tensor | None = None
    importance: Tensor | None = None

    @staticmethod
    def of(learned: "Learned", targets: int, most: int) -> "Pairs":
        """Any objective as pairs: an assignment gives up to `most` queries for each of the given
        number of targets.
        """
        if isinstance(learned, Pairs):
            return learned
        assignment = by_query(learned)
        place = torch.arange(targets, device=assignment.device)[:, None]
        chosen = (assignment[:, :, None] == place).int()  # [L, B, G, Q]
        taken, queries = chosen.topk(min(most, chosen.shape[-1]), dim=-1)
        return Pairs(queries.masked_fill(taken == 0, BACKGROUND), assignment)

    def at_queries(self, values: Tensor) -> Tensor:
        """Moves values of the pairs, `Tensor[L, B, G, N]`, to the queries that learn their class
        from them: `Tensor[L, B, Q]`, 0 at all others.
        """
        num_queries = self.assignment.shape[2]
        queries = self.queries.flatten(2)
        targets = torch.arange(self.queries.shape[2], device=queries.device)
        targets = targets.repeat_interleave(self.queries.shape[3])
        # One extra slot for pairs that do not decide a class.
        learned = pad(self.assignment, (0, 1), value=BACKGROUND)
        place = queries.masked_fill(queries < 0, num_queries)
        place = place.masked_fill(learned.gather(2, place) != targets, num_queries)
        at = values.new_zeros(*learned.shape).scatter(2, place, values.flatten(2))
        return at[..., :num_queries]


Learned: TypeAlias = Assignment | Pairs | Answers
"""The objective of a group's queries."""


def by_query(learned: Learned) -> Assignment:
    """The target whose class each query learns.

    Raises:
        ValueError: the objective is answers, which have no targets.
    """
    if isinstance(learned, Answers):
        raise ValueError("Queries that learn what another network answers have no targets.")
    return learned.assignment if isinstance(learned, Pairs) else learned


Scores: TypeAlias = Callable[[Tensor], Tensor]
"""`ClassLoss.scores`: `Tensor[..., num_outputs]` logits to `Tensor[..., num_classes]`."""


class Assigner(Protocol):
    """Decides which targets the queries of a group learn, and the divisor of their losses."""

    @property
    def hungarian(self) -> bool:
        """Whether the assigner needs the result of the Hungarian matcher."""

    def assign(self, output: "GroupOutput", scores: Scores, matched: Assignment | None) -> Learned:
        """The objective of the queries of `output`.

        Args:
            output: the predictions of the group, and the targets.
            scores: maps logits to scores.
            matched: the result of the Hungarian matcher; None if it is not needed.
        """

    @property
    def assignment(self) -> Assignment | None:
        """The assignment if it is known before the predictions, otherwise None."""

    @property
    def capacity(self) -> tuple[int, ...]:
        """Maximum number of queries per target in each layer; empty if there is no limit."""

    @property
    def sums_blocks(self) -> bool:
        """Whether the losses of a group's blocks are summed instead of averaged."""

    def normaliser(self, step: Step) -> Tensor:
        """The divisor of each layer's losses, applied where it is at least 1: `Tensor[L]`, or 0-d
        if equal for all.
        """


@dataclass
class Match:
    """The assigner of plain Hungarian matching."""

    hungarian: ClassVar[bool] = True
    assignment: ClassVar[None] = None
    sums_blocks: ClassVar[bool] = True
    capacity: tuple[int, ...]

    def assign(self, output: "GroupOutput", scores: Scores, matched: Assignment | None) -> Learned:
        assert matched is not None  # a Hungarian assigner always gets it
        return matched

    def normaliser(self, step: Step) -> Tensor:
        return step.ground_truths * to_device(self.capacity, step.ground_truths)


class Known:
    """Base of assigners that know their result in advance."""

    hungarian: ClassVar[bool] = False
    sums_blocks: ClassVar[bool] = False
    assignment: Assignment

    def assign(
        self, output: "GroupOutput", scores: Scores, matched: Assignment | None
    ) -> Assignment:
        return self.assignment


@dataclass
class Given(Known):
    """An assigner with a given result (denoising).

    assignment: `Tensor[L, B, Q]`. repeats: queries per target, over all blocks.
    """

    assignment: Assignment
    repeats: int

    @property
    def capacity(self) -> tuple[int, ...]:
        return (self.repeats,) * len(self.assignment)

    def normaliser(self, step: Step) -> Tensor:
        return (step.ground_truths * self.repeats).expand(len(self.assignment))


@dataclass
class Counted(Known):
    """An assigner with a given result, whose losses are divided by the number of queries with a
    target (positives of another head).

    assignment: `Tensor[L, B, Q]`.
    """

    capacity: ClassVar[tuple[int, ...]] = ()
    assignment: Assignment

    def normaliser(self, step: Step) -> Tensor:
        """The rest of the step is assumed to have as many as these images."""
        positives = (self.assignment >= 0).sum((1, 2)).to(step.ground_truths.dtype)
        return mean_over_processes(positives) / step.share
