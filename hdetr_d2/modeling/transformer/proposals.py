"""Two-stage query selections: queries start at the encoder's best proposals."""

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hdetr_d2.layers import Linear, sine_embedding
from hdetr_d2.modeling.heads import PredictionHeads
from hdetr_d2.modeling.transformer.geometry import of_cells
from hdetr_d2.modeling.transformer.query_selection import QuerySelection, Selection, Slots
from hdetr_d2.ops.autocast import without_gradient
from hdetr_d2.structures import Memory, Predictions, Queries
from hdetr_d2.utils.device import to_device


class ProposalQueries(QuerySelection):
    """The common base of two-stage selections: every token proposes a box, and the best ones are
    selected.

    Args:
        num_queries: of the main group.
        dim: channels C.
        heads: a class and a box head for the proposals.
        content_dim: channels of a query's learned content, 0 for none.
        proposal_weight: weight of the proposals' losses.
    """

    two_stage = True

    def __init__(
        self,
        *,
        num_queries: int,
        dim: int,
        heads: PredictionHeads,
        content_dim: int,
        proposal_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.proposal_weight = proposal_weight
        self.dim = dim
        self.content_dim = content_dim
        self.heads = heads
        self.slots = self.make_slots(num_queries)
        self.proposal_proj = Linear(dim, dim)
        self.proposal_norm = nn.LayerNorm(dim)
        nn.init.xavier_uniform_(self.proposal_proj.weight)

    def start_as(self, heads: PredictionHeads) -> None:
        self.heads.start_as(heads)

    def make_slots(self, num: int) -> Slots:
        return Slots(num, self.content_dim)

    def forward(self, memory: Memory, extra: Sequence[Slots] = ()) -> Selection:
        tokens, anchors = self._candidates(memory)
        slots = (self.slots, *extra)
        lengths = _clip([each.num for each in slots], tokens.shape[1])
        reference, learners = self.propose(tokens, anchors, lengths, self.heads)
        main, *others = self.queries(slots, lengths, reference)
        return Selection(main, others, learners)

    @property
    def proposal_heads(self) -> PredictionHeads:
        return self.heads

    def select(
        self, memory: Memory, slots: Slots, heads: PredictionHeads
    ) -> tuple[Queries, Predictions]:
        tokens, anchors = self._candidates(memory)
        lengths = _clip([slots.num], tokens.shape[1])
        reference, learners = self.propose(tokens, anchors, lengths, heads)
        (queries,) = self.queries([slots], lengths, reference)
        return queries, learners

    @abstractmethod
    def propose(
        self, tokens: Tensor, anchors: Tensor, lengths: Sequence[int], heads: PredictionHeads
    ) -> tuple[Tensor, Predictions]:
        """The best proposals `Tensor[B, Q, 4]`, best first, where Q is the sum of `lengths`; and
        the proposals that have losses.

        Args:
            tokens: `Tensor[B, S, C]`.
            anchors: logits of the tokens' anchor boxes, `Tensor[B, S, 4]`.
            lengths: number of queries of the first group, whose proposals have losses, and of each
                further group.
            heads: of the proposals.
        """

    @abstractmethod
    def queries(
        self, slots: Sequence[Slots], lengths: Sequence[int], reference: Tensor
    ) -> list[Queries]:
        """The queries of each group, from the proposals of all groups, `Tensor[B, Q, 4]`.

        Args:
            slots: of each group.
            lengths: queries of each group, Q in total; there may be fewer than slots.
            reference: the proposals, group by group.
        """

    def project(self, tokens: Tensor) -> Tensor:
        """The states that the heads read."""
        return self.proposal_norm(self.proposal_proj(tokens))

    def best(self, confidence: Tensor, number: int) -> Tensor:
        """Indices `Tensor[B, number]` of the proposals with the highest values in `Tensor[B, S]`,
        best first.
        """
        return confidence.topk(number, dim=1).indices

    def _candidates(self, memory: Memory) -> tuple[Tensor, Tensor]:
        """Tokens `Tensor[B, S, C]` and the logits of their anchor boxes `Tensor[B, S, 4]`."""
        centres = memory.centres
        assert centres is not None  # always set by encoders with tokens on several levels
        sides = to_device([[0.05 * 2.0**level] for level in range(len(memory.shapes))], centres)
        sides = of_cells(sides, memory.shapes).expand_as(centres)
        anchors = torch.cat([centres, sides], -1)
        usable = ((anchors > 0.01) & (anchors < 0.99)).all(-1, keepdim=True) & ~memory.padding[
            ..., None
        ]
        anchors = torch.log(anchors / (1 - anchors)).masked_fill(~usable, float("inf"))
        return memory.tokens.masked_fill(~usable, 0.0), anchors


class ObjectQueries(ProposalQueries):
    """Class-agnostic proposals, all of which are trained.

    Args:
        num_queries: of the main group.
        dim: channels C.
        heads: a class and a box head for the proposals.
        mixed_selection: the content of a query is learned, and only its position comes from the
            proposal (DINO, https://arxiv.org/abs/2203.03605); otherwise both come from the
            proposal.
        proposal_weight: weight of the proposals' losses.
    """

    def __init__(
        self,
        *,
        num_queries: int,
        dim: int,
        heads: PredictionHeads,
        mixed_selection: bool = False,
        proposal_weight: float = 1.0,
    ) -> None:
        super().__init__(
            num_queries=num_queries,
            dim=dim,
            heads=heads,
            content_dim=dim if mixed_selection else 0,
            proposal_weight=proposal_weight,
        )
        self.mixed_selection = mixed_selection

    @abstractmethod
    def embed(self, embedding: Tensor) -> tuple[Tensor, ...]:
        """Position and content `Tensor[B, Q, C]` each, from the sine embedding of boxes,
        `Tensor[B, Q, 2 * C]`.
        """

    def propose(
        self, tokens: Tensor, anchors: Tensor, lengths: Sequence[int], heads: PredictionHeads
    ) -> tuple[Tensor, Predictions]:
        logits, delta = heads(0, self.project(tokens))
        unactivated = delta + anchors
        # Class 0 stands for "object": every label is 0.
        objectness = heads.class_loss.confidence(logits.detach())[..., 0]
        best = self.best(objectness, sum(lengths))
        reference = _pick(unactivated.detach(), best).sigmoid()
        return reference, Predictions(logits[None], unactivated.sigmoid()[None])

    def queries(
        self, slots: Sequence[Slots], lengths: Sequence[int], reference: Tensor
    ) -> list[Queries]:
        position, content = (part.split([*lengths], 1) for part in self._at(reference))
        if self.mixed_selection:
            content = _contents(slots, lengths, reference.shape[0])
        parts = zip(content, position, reference.split([*lengths], 1), strict=True)
        return [Queries(*part) for part in parts]

    def embed_boxes(self, boxes: Tensor) -> Tensor:
        return self._at(boxes)[0]

    def _at(self, boxes: Tensor) -> tuple[Tensor, ...]:
        return self.embed(sine_embedding(2 * math.pi * boxes, self.dim // 2))


class TwoStageQueries(ObjectQueries):
    """Two-stage Deformable-DETR (https://arxiv.org/abs/2010.04159): one projection and one norm for
    position and content; see `ObjectQueries`.
    """

    def __init__(
        self,
        *,
        num_queries: int,
        dim: int,
        heads: PredictionHeads,
        mixed_selection: bool = False,
        proposal_weight: float = 1.0,
    ) -> None:
        super().__init__(
            num_queries=num_queries,
            dim=dim,
            heads=heads,
            mixed_selection=mixed_selection,
            proposal_weight=proposal_weight,
        )
        # With mixed selection the second half of the outputs is unused, as in the published
        # weights.
        self.position_proj = Linear(2 * dim, 2 * dim)
        self.position_norm = nn.LayerNorm(2 * dim)
        nn.init.xavier_uniform_(self.position_proj.weight)

    def embed(self, embedding: Tensor) -> tuple[Tensor, ...]:
        return self.position_norm(self.position_proj(embedding)).chunk(2, -1)


class DINOQueries(ProposalQueries):
    """DINO (https://arxiv.org/abs/2203.03605): proposals have classes, of which the selected ones
    are trained; queries have learned content and start at the proposals; the decoder computes their
    positions.

    Args:
        num_queries: of the main group.
        dim: channels C.
        heads: a class and a box head for the proposals.
    """

    class_agnostic = False

    def __init__(self, *, num_queries: int, dim: int, heads: PredictionHeads) -> None:
        super().__init__(num_queries=num_queries, dim=dim, heads=heads, content_dim=dim)

    def propose(
        self, tokens: Tensor, anchors: Tensor, lengths: Sequence[int], heads: PredictionHeads
    ) -> tuple[Tensor, Predictions]:
        best = self._surest(tokens, sum(lengths), heads)
        logits, delta = heads(0, self.project(_pick(tokens, best)))
        boxes = (delta + _pick(anchors, best)).sigmoid()
        learning = slice(lengths[0])
        return boxes.detach(), Predictions(logits[None, :, learning], boxes[None, :, learning])

    def _surest(self, tokens: Tensor, number: int, heads: PredictionHeads) -> Tensor:
        """Indices `Tensor[B, number]` of the tokens with the most confident class. Other tokens are
        not trained, so the backward pass need not keep anything of them.
        """
        with without_gradient(tokens.device):
            logits = heads.class_logits(0, self.project(tokens))
            return self.best(heads.class_loss.confidence(logits).amax(-1), number)

    def queries(
        self, slots: Sequence[Slots], lengths: Sequence[int], reference: Tensor
    ) -> list[Queries]:
        parts = zip(
            _contents(slots, lengths, reference.shape[0]),
            reference.split([*lengths], 1),
            strict=True,
        )
        return [Queries(content, None, place) for content, place in parts]

    def embed_boxes(self, boxes: Tensor) -> None:
        return None


def _pick(rows: Tensor, index: Tensor) -> Tensor:
    """`Tensor[B, S, N]` indexed by `Tensor[B, Q]`: `Tensor[B, Q, N]`."""
    return rows.gather(1, index[..., None].expand(-1, -1, rows.shape[-1]))


def _contents(slots: Sequence[Slots], lengths: Sequence[int], batch: int) -> tuple[Tensor, ...]:
    """The learned contents of the first slots of each group, `Tensor[B, Q_g, C]`."""
    parts = zip(slots, lengths, strict=True)
    return tuple(each.table[:length].expand(batch, -1, -1) for each, length in parts)


def _clip(wanted: Sequence[int], available: int) -> list[int]:
    """The sizes of the parts if there are fewer proposals than requested: earlier parts come
    first.
    """
    sizes: list[int] = []
    for size in wanted:
        left = available - sum(sizes)
        # Not `min`, which an exporter would keep symbolic although the result is known here.
        sizes.append(size if size <= left else left)
    return sizes
