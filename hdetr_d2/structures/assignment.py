"""Which target each query learns, and who says so."""

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
"""In an `Assignment`: the query has no target and learns to be background."""

NO_LOSS = -2
"""In an `Assignment`: the query is padding and has no loss at all."""

Assignment: TypeAlias = Tensor
"""`Tensor[L, B, Q]` int64: for each query the index of its target, `BACKGROUND` or `NO_LOSS`."""


@dataclass
class Pairs:
    """Pairs of a target and a query that learns it, where a query may serve several targets.

    queries: `Tensor[L, B, G, N]` int64, those of each target, `BACKGROUND` in places without one.
    assignment: `Tensor[L, B, Q]`: of the targets that a query serves, the one whose class it
    learns. weights: `Tensor[L, B, G, N]`: what each pair's box losses, and the score that the query
    shall have for the target's class, are multiplied by; None for 1. quality: `Tensor[L, B, G, N]`:
    how good each pair is, for class losses that ask; None where they measure it themselves.
    importance: `Tensor[L, B, Q]`: what the class loss of each query is multiplied by, whatever it
    learns, and the scores that queries shall have are then not; None for 1.
    """

    queries: Tensor
    assignment: Assignment
    weights: Tensor | None = None
    quality: Tensor | None = None
    importance: Tensor | None = None

    @staticmethod
    def of(learned: "Learned", targets: int, most: int) -> "Pairs":
        """What is learned as pairs: those of an assignment with up to `most` queries for each of so
        many targets.
        """
        if isinstance(learned, Pairs):
            return learned
        assignment = by_query(learned)
        place = torch.arange(targets, device=assignment.device)[:, None]
        chosen = (assignment[:, :, None] == place).int()  # [L, B, G, Q]
        taken, queries = chosen.topk(min(most, chosen.shape[-1]), dim=-1)
        return Pairs(queries.masked_fill(taken == 0, BACKGROUND), assignment)

    def at_queries(self, values: Tensor) -> Tensor:
        """Numbers of the pairs, `Tensor[L, B, G, N]`, at the queries that learn a class by them:
        `Tensor[L, B, Q]`, 0 at all others.
        """
        num_queries = self.assignment.shape[2]
        queries = self.queries.flatten(2)
        targets = torch.arange(self.queries.shape[2], device=queries.device)
        targets = targets.repeat_interleave(self.queries.shape[3])
        # One place more than queries, for the pairs that say nothing of a class.
        learned = pad(self.assignment, (0, 1), value=BACKGROUND)
        place = queries.masked_fill(queries < 0, num_queries)
        place = place.masked_fill(learned.gather(2, place) != targets, num_queries)
        at = values.new_zeros(*learned.shape).scatter(2, place, values.flatten(2))
        return at[..., :num_queries]


Learned: TypeAlias = Assignment | Pairs | Answers
"""What the queries of a group learn."""


def by_query(learned: Learned) -> Assignment:
    """The target whose class each query learns.

    Raises:
        ValueError: what is learned are answers, which are of no target.
    """
    if isinstance(learned, Answers):
        raise ValueError("Queries that learn what another network answers have no targets.")
    return learned.assignment if isinstance(learned, Pairs) else learned


Scores: TypeAlias = Callable[[Tensor], Tensor]
"""`ClassLoss.scores`: of `Tensor[..., num_outputs]` logits, `Tensor[..., num_classes]`."""


class Assigner(Protocol):
    """How the queries of a group find their targets, and what their losses are divided by."""

    @property
    def hungarian(self) -> bool:
        """Whether the Hungarian matcher is asked first."""

    def assign(self, output: "GroupOutput", scores: Scores, matched: Assignment | None) -> Learned:
        """What the queries of `output` learn.

        Args:
            output: the predictions of the group, and the targets.
            scores: those of its logits.
            matched: the answer of the Hungarian matcher; None where it was not asked.
        """

    @property
    def assignment(self) -> Assignment | None:
        """Where it is known before the predictions; else None."""

    @property
    def capacity(self) -> tuple[int, ...]:
        """How many queries a target may take in each layer; none where nothing limits them."""

    @property
    def sums_blocks(self) -> bool:
        """Whether the losses of a group's blocks are summed, or else averaged."""

    def normaliser(self, step: Step) -> Tensor:
        """What the losses of each layer are divided by where it is at least 1, `Tensor[L]`, or 0-d
        where it is the same for all.
        """


@dataclass
class Match:
    """An assigner: Hungarian matching."""

    hungarian: ClassVar[bool] = True
    assignment: ClassVar[None] = None
    sums_blocks: ClassVar[bool] = True
    capacity: tuple[int, ...]

    def assign(self, output: "GroupOutput", scores: Scores, matched: Assignment | None) -> Learned:
        assert matched is not None  # as an assigner that is hungarian gets it
        return matched

    def normaliser(self, step: Step) -> Tensor:
        return step.ground_truths * to_device(self.capacity, step.ground_truths)


class Known:
    """What assigners share that know their answer."""

    hungarian: ClassVar[bool] = False
    sums_blocks: ClassVar[bool] = False
    assignment: Assignment

    def assign(
        self, output: "GroupOutput", scores: Scores, matched: Assignment | None
    ) -> Assignment:
        return self.assignment


@dataclass
class Given(Known):
    """An assigner that knows its answer (denoising).

    assignment: `Tensor[L, B, Q]`. repeats: queries of a target, in all blocks together.
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
    """An assigner that knows its answer, whose losses are divided by how many queries have a target
    (positive queries of another head).

    assignment: `Tensor[L, B, Q]`.
    """

    capacity: ClassVar[tuple[int, ...]] = ()
    assignment: Assignment

    def normaliser(self, step: Step) -> Tensor:
        """The rest of the step is taken to have as many as these images."""
        positives = (self.assignment >= 0).sum((1, 2)).to(step.ground_truths.dtype)
        return mean_over_processes(positives) / step.share
