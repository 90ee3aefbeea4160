"""Where the decoder's queries come from: learned tables, or the encoder's best proposals."""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from hdetr_d2.layers import sine_embedding
from hdetr_d2.modeling.heads import PredictionHeads
from hdetr_d2.modeling.transformer.geometry import cell_centres
from hdetr_d2.structures import Memory, Predictions, Queries


class Slots(nn.Module):
    """The learned part of `num` queries, `table` `Tensor[num, dim]`; with `dim` 0 it is their
    number alone.
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
    """The queries of the main group, those of the extra slots, and the proposals (two-stage)."""

    main: Queries
    extra: list[Queries]
    proposals: Predictions | None = None


class QuerySelection(nn.Module, ABC):
    """Makes queries from the memory. `slots`: those of the main group. `two_stage`: whether it
    scores proposals, which then have losses.
    """

    slots: Slots
    two_stage: bool = False

    @abstractmethod
    def make_slots(self, num: int) -> Slots:
        """The learned part of `num` queries more."""

    @abstractmethod
    def forward(self, memory: Memory, extra: Sequence[Slots] = ()) -> Selection:
        """Queries for the main slots, which have the first ranks, and for each of `extra`."""


class LearnedQueries(QuerySelection):
    """Single-stage: a learned position and content for every query, its reference a function of the
    position.

    Args:
        num_queries: of the main group.
        dim: channels C.
    """

    def __init__(self, *, num_queries: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.slots = self.make_slots(num_queries)
        self.reference_points = nn.Linear(dim, 2)
        nn.init.xavier_uniform_(self.reference_points.weight)
        nn.init.zeros_(self.reference_points.bias)

    def make_slots(self, num: int) -> Slots:
        return Slots(num, 2 * self.dim)

    def forward(self, memory: Memory, extra: Sequence[Slots] = ()) -> Selection:
        main, *others = (self._queries(slots, len(memory.tokens)) for slots in (self.slots, *extra))
        return Selection(main, others)

    def _queries(self, slots: Slots, batch: int) -> Queries:
        position, content = slots.table.chunk(2, -1)
        # Places keep their precision: 16 bits would round them to a 256th of the image.
        with torch.autocast(position.device.type, enabled=False):
            reference = self.reference_points(position).sigmoid()
        return Queries(*(part.expand(batch, -1, -1) for part in (content, position, reference)))


class TwoStageQueries(QuerySelection):
    """Two-stage: the queries start at the proposals of the encoder that score best.

    Args:
        num_queries: of the main group.
        dim: channels C.
        heads: a class and a box head for the proposals.
        mixed_selection: the content of a query is learned and only its position comes from the
            proposal (DINO, https://arxiv.org/abs/2203.03605); else both come from the proposal.
    """

    two_stage = True

    def __init__(
        self, *, num_queries: int, dim: int, heads: PredictionHeads, mixed_selection: bool = False
    ) -> None:
        super().__init__()
        self.dim = dim
        self.mixed_selection = mixed_selection
        self.heads = heads
        self.slots = self.make_slots(num_queries)
        self.proposal_proj = nn.Linear(dim, dim)
        self.proposal_norm = nn.LayerNorm(dim)
        # With mixed selection the second half of these outputs is unused, as in the published
        # weights.
        self.position_proj = nn.Linear(2 * dim, 2 * dim)
        self.position_norm = nn.LayerNorm(2 * dim)
        for layer in (self.proposal_proj, self.position_proj):
            nn.init.xavier_uniform_(layer.weight)

    def make_slots(self, num: int) -> Slots:
        return Slots(num, self.dim if self.mixed_selection else 0)

    def forward(self, memory: Memory, extra: Sequence[Slots] = ()) -> Selection:
        states, anchors = self._candidates(memory)
        logits, delta = self.heads(0, states)
        unactivated = delta + anchors
        wanted = [self.slots.num, *(slots.num for slots in extra)]
        # Channel 0 stands for "object": the proposals are trained with every label 0.
        best = logits[..., 0].topk(min(sum(wanted), logits.shape[1]), dim=1).indices
        picked = unactivated.detach().gather(1, best[..., None].expand(-1, -1, 4))
        parts = picked.split(_clip(wanted, picked.shape[1]), 1)
        main, *others = (
            self._queries(s, part) for s, part in zip((self.slots, *extra), parts, strict=True)
        )
        return Selection(main, others, Predictions(logits[None], unactivated.sigmoid()[None]))

    def _candidates(self, memory: Memory) -> tuple[Tensor, Tensor]:
        """Projected tokens `Tensor[B, S, C]` and the logits of their anchor boxes `Tensor[B, S,
        4]`.
        """
        centres = cell_centres(memory.shapes, memory.valid_ratios)
        sides = [
            torch.full((h * w, 2), 0.05 * 2.0**level, device=centres.device)
            for level, (h, w) in enumerate(memory.shapes)
        ]
        anchors = torch.cat([centres, torch.cat(sides).expand_as(centres)], -1)
        usable = ((anchors > 0.01) & (anchors < 0.99)).all(-1, keepdim=True) & ~memory.padding[
            ..., None
        ]
        anchors = torch.log(anchors / (1 - anchors)).masked_fill(~usable, float("inf"))
        tokens = memory.tokens.masked_fill(~usable, 0.0)
        return self.proposal_norm(self.proposal_proj(tokens)), anchors

    def _queries(self, slots: Slots, unactivated: Tensor) -> Queries:
        reference = unactivated.sigmoid()
        embedding = sine_embedding(2 * math.pi * reference, self.dim // 2)  # [B, Q, 2 * C]
        position, content = self.position_norm(self.position_proj(embedding)).chunk(2, -1)
        if self.mixed_selection:
            content = slots.table[: reference.shape[1]].expand(len(reference), -1, -1)
        return Queries(content, position, reference)


def _clip(wanted: Sequence[int], available: int) -> list[int]:
    """Sizes of the parts when there are fewer proposals than wanted: the first parts are served
    first.
    """
    sizes: list[int] = []
    for size in wanted:
        sizes.append(min(size, available - sum(sizes)))
    return sizes
