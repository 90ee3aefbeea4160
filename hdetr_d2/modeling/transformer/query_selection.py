"""Query selection: the interface, and learned queries."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hdetr_d2.layers import Linear, sine_embedding
from hdetr_d2.modeling.heads import PredictionHeads
from hdetr_d2.structures import Memory, Predictions, Queries


class Slots(nn.Module):
    """The learned part of `num` queries, `table` `Tensor[num, dim]`; with `dim` 0 only their
    number.
    """

    table: Tensor

    def __init__(self, num: int, dim: int) -> None:
        super().__init__()
        if num < 1:
            raise ValueError(f"query_selection.num_queries={num} must be at least 1.")
        self.num = num
        if dim:
            self.table = nn.Parameter(torch.randn(num, dim))


@dataclass
class Selection:
    """The queries of the main group, those for the extra slots, and the proposals (two-stage)."""

    main: Queries
    extra: list[Queries]
    proposals: Predictions | None = None


class QuerySelection(nn.Module, ABC):
    """Makes queries from the memory. `slots`: those of the main group. `two_stage`: whether it
    scores proposals, which then have losses. `class_agnostic`: whether these are trained without
    classes. proposal_weight: weight of those losses.
    """

    slots: Slots
    two_stage: bool = False
    class_agnostic: bool = True
    proposal_weight: float = 1.0

    @property
    def proposal_heads(self) -> PredictionHeads | None:
        """The heads of the proposals, if there are any."""
        return None

    def start_as(self, heads: PredictionHeads) -> None:
        """Initialises its heads, if there are any, like the first ones of the decoder."""
        return

    @abstractmethod
    def make_slots(self, num: int) -> Slots:
        """Creates the learned part of `num` more queries."""

    @abstractmethod
    def forward(self, memory: Memory, extra: Sequence[Slots] = ()) -> Selection:
        """Queries for the main slots, which get the first ranks, and for each of `extra`."""

    def select(
        self, memory: Memory, slots: Slots, heads: PredictionHeads
    ) -> tuple[Queries, Predictions]:
        """For two-stage selections: queries for further slots from the best proposals of other
        heads, and the proposals of these heads that are trained.
        """
        raise NotImplementedError(f"{type(self).__name__} makes no proposals.")

    @abstractmethod
    def embed_boxes(self, boxes: Tensor) -> Tensor | None:
        """The positional queries `Tensor[B, Q, C]` for boxes `Tensor[B, Q, 4]` cxcywh in [0, 1]
        given by a scheme; None if the decoder computes them.
        """


class SingleStageQueries(QuerySelection):
    """The common base of selections of learned queries, which are the same for every image.

    Args:
        num_queries: of the main group.
        dim: channels C.
    """

    def __init__(self, *, num_queries: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.slots = self.make_slots(num_queries)

    def forward(self, memory: Memory, extra: Sequence[Slots] = ()) -> Selection:
        batch = memory.tokens.shape[0]
        main, *others = (
            self.queries(slots).map(lambda part: part.expand(batch, -1, -1))
            for slots in (self.slots, *extra)
        )
        return Selection(main, others)

    @abstractmethod
    def queries(self, slots: Slots) -> Queries:
        """The queries of the slots, without a batch dimension: `Tensor[Q, ...]`."""

    def embed_boxes(self, boxes: Tensor) -> Tensor | None:
        # A learned position is not derived from a box: the plain embedding is used instead.
        return sine_embedding(2 * math.pi * boxes, self.dim // 4)


class LearnedQueries(SingleStageQueries):
    """Deformable-DETR without proposals: learned position and content for every query; the
    reference is a function of the position.
    """

    def __init__(self, *, num_queries: int, dim: int) -> None:
        super().__init__(num_queries=num_queries, dim=dim)
        self.reference_points = Linear(dim, 2)
        nn.init.xavier_uniform_(self.reference_points.weight)
        nn.init.zeros_(self.reference_points.bias)

    def make_slots(self, num: int) -> Slots:
        return Slots(num, 2 * self.dim)

    def queries(self, slots: Slots) -> Queries:
        position, content = slots.table.chunk(2, -1)
        # Keep full precision: 16 bits would round references to a 256th of the image.
        with torch.autocast(position.device.type, enabled=False):
            reference = self.reference_points(position).sigmoid()
        return Queries(content, position, reference)


class LearnedAnchors(SingleStageQueries):
    """DAB-DETR (https://arxiv.org/abs/2201.12329): learned content and a learned box for every
    query; the decoder computes its position.
    """

    def make_slots(self, num: int) -> Slots:
        return Slots(num, self.dim + 4)

    def queries(self, slots: Slots) -> Queries:
        content, anchor = slots.table.split([self.dim, 4], -1)
        return Queries(content, None, anchor.sigmoid())

    def embed_boxes(self, boxes: Tensor) -> None:
        return None


class LearnedPositions(SingleStageQueries):
    """DETR (https://arxiv.org/abs/2005.12872): a learned position for every query, zero content and
    no reference.
    """

    def make_slots(self, num: int) -> Slots:
        return Slots(num, self.dim)

    def queries(self, slots: Slots) -> Queries:
        return Queries(torch.zeros_like(slots.table), slots.table, None)
