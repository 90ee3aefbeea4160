"""Queries, and groups of them that have a task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from hdetr_d2.layers.attention_bias import AttentionBias
from hdetr_d2.structures.assignment import Assigner
from hdetr_d2.structures.own_parts import OWN_PARTS, KeyTokens, PartOfLayer
from hdetr_d2.structures.step import Step
from hdetr_d2.structures.targets import Targets

MAIN = ""
"""Name of the main group."""

PROPOSALS = "enc"
"""Name of the group of encoder proposals, which skips the decoder."""


@dataclass
class Queries:
    """What the query selection makes: decoder input that has no task yet.

    content: `Tensor[B, Q, C]`. position: `Tensor[B, Q, C]`; None where the decoder makes one of the
    references in every layer. reference: `Tensor[B, Q, 2 or 4]` in [0, 1], (cx, cy) or cxcywh; None
    for a decoder whose queries start at no place. All queries of a step have the same parts.
    """

    content: Tensor
    position: Tensor | None
    reference: Tensor | None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Queries":
        """The queries with every part changed."""
        parts = (self.content, self.position, self.reference)
        return Queries(*(None if part is None else change(part) for part in parts))  # type: ignore[arg-type]

    @classmethod
    def join(cls, rows: "Sequence[Queries]") -> "Queries":
        """Those of all rows, one row after the other."""

        def cat(parts: Sequence[Tensor | None]) -> Tensor | None:
            given = [part for part in parts if part is not None]
            return torch.cat(given, 1) if given else None

        return cls(
            torch.cat([queries.content for queries in rows], 1),
            cat([queries.position for queries in rows]),
            cat([queries.reference for queries in rows]),
        )


@dataclass(kw_only=True)
class Start:
    """Where a group comes into the decoder, if not before its first layer: content and reference of
    its queries are then those of other groups as they came out of an earlier layer.

    layer: the first that it goes through, of those from 0 on. passed: how many the others had gone
    through by then. of: their names; their queries follow each other.

    Raises:
        ValueError: no layer lies between, or the queries are to come from nowhere.
    """

    layer: int
    passed: int
    of: tuple[str, ...]

    def __post_init__(self) -> None:
        if not (0 <= self.passed <= self.layer and self.layer and self.of):
            raise ValueError(f"Queries cannot come in with {self}.")


@dataclass(kw_only=True)
class Group:
    """Queries with a task of their own, which their losses are named after.

    name: the suffix of its losses, "" for the main group. assigner: how the queries find their
    targets. weight: of class and box losses. blocks: the Q queries are so many equal blocks, one
    after the other; each is matched with all targets.
    """

    name: str
    assigner: Assigner
    weight: float = 1.0
    blocks: int = 1

    @property
    def first_layer(self) -> int:
        """The number of the first layer that it has predictions of."""
        return 0

    def normaliser(self, step: Step) -> Tensor:
        """What sums over the queries of each layer are divided by, `Tensor[L]` or 0-d, at least
        1.
        """
        return self.assigner.normaliser(step).clamp(min=1)

    def weight_of_mean(self, step: Step) -> float:
        """How much a mean over the queries counts: it is one over a part of the step, and over all
        blocks.
        """
        return step.share * (self.blocks if self.assigner.sums_blocks else 1)


@dataclass(kw_only=True)
class FurtherTask(Group):
    """What the queries of a group learn besides, by the same predictions.

    of: the name of the group. name, assigner, weight, blocks: of the task itself. targets: what
    they learn; None for the ground truth. first: the first layer of the group, which the model
    fills in.
    """

    of: str = ""
    targets: Targets | None = None
    first: int = 0

    @property
    def first_layer(self) -> int:
        return self.first


@dataclass(kw_only=True)
class QueryGroup(Group):
    """A group that goes through the decoder: its queries see those of their block, and what the
    group `sees`; its blocks are blind to each other.

    queries: the decoder's input. alone: a query sees none of its block but itself. sees: names of
    other groups whose queries are further keys for its own in self-attention; they do not see it.
    attention_bias: of the scores of its self-attention, in the place of what the decoder may have
    for the main group and for those that see it. valid: `Tensor[B, Q]` bool, False where a
    query is padding, which is seen by nobody and which the assigner must give `NO_LOSS`; at least
    one of an image is valid. Both are for groups of one block whose queries see each other and
    nobody else. own: what it has in the place of parts of the decoder, which are named in
    `OWN_PARTS`. tokens: further keys for the queries of each block. start: where it comes in, if
    not before the first layer. attends: False for queries that pass by the self-attention of every
    layer, with its norm, and are seen by nobody. branches_from: another group of as many queries,
    from which its own branch off after the self-attention of the first layer: up to there they are
    the same, and `queries.content` is not asked for.

    Raises:
        ValueError: queries that cannot be divided into the blocks; a bias or padding where it has
            no place; a part that nobody can have for itself; keys for queries that do not attend.
    """

    queries: Queries
    alone: bool = False
    sees: tuple[str, ...] = ()
    attention_bias: AttentionBias | None = None
    valid: Tensor | None = None
    own: Mapping[str, PartOfLayer] = field(default_factory=dict)
    tokens: KeyTokens | None = None
    start: Start | None = None
    attends: bool = True
    branches_from: str | None = None

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.own) - set(OWN_PARTS)):
            raise ValueError(
                f"The group {self.name!r} cannot have {', '.join(unknown)} of its own, only "
                f"{', '.join(OWN_PARTS)}."
            )
        queries = self.queries.content.shape[1]
        if queries % self.blocks:
            raise ValueError(
                f"The group {self.name!r} cannot have {queries} queries in {self.blocks} blocks."
            )
        special = {"an attention bias": self.attention_bias, "padding": self.valid}
        has = [what for what, part in special.items() if part is not None]
        if has and (self.blocks > 1 or self.alone or self.sees):
            raise ValueError(
                f"The group {self.name!r} cannot have {has[0]}: it has {self.blocks} blocks, "
                f"alone={self.alone} and sees {list(self.sees)}, but that is for one block that "
                "sees itself."
            )
        keys = {"an attention bias": self.attention_bias, "tokens": self.tokens, "sees": self.sees}
        if not self.attends and (asked := [what for what, part in keys.items() if part]):
            raise ValueError(
                f"The group {self.name!r} has {asked[0]}, but no self-attention: attends=False."
            )
        if self.valid is not None and self.assigner.assignment is None:
            raise ValueError(
                f"The group {self.name!r} has padding, which the matcher knows nothing of."
            )

    @property
    def first_layer(self) -> int:
        return self.start.layer if self.start else 0

    @property
    def layout(self) -> tuple[int, int]:
        """How many parts of the queries do not see each other, and how many queries each has."""
        queries = self.queries.content.shape[1]
        parts = queries if self.alone else self.blocks
        return parts, queries // max(1, parts)
