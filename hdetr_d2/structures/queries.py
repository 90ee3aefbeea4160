"""Queries, and query groups with an objective."""

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
    """The result of query selection: decoder input without an objective yet.

    content: `Tensor[B, Q, C]`. position: `Tensor[B, Q, C]`; None if the decoder computes it from
    the references in every layer. reference: `Tensor[B, Q, 2 or 4]` in [0, 1], (cx, cy) or cxcywh;
    None for decoders without references. All queries of a step have the same parts.
    """

    content: Tensor
    position: Tensor | None
    reference: Tensor | None

    def map(self, change: Callable[[Tensor], Tensor]) -> "Queries":
        """Applies a function to every part."""
        parts = (self.content, self.position, self.reference)
        return Queries(*(None if part is None else change(part) for part in parts))  # type: ignore[arg-type]

    @classmethod
    def join(cls, rows: "Sequence[Queries]") -> "Queries":
        """Concatenates queries."""

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
    """Where a group enters the decoder, if not before the first layer: content and reference of its
    queries are then the outputs of other groups after an earlier layer.

    layer: the first layer (from 0) that the group passes. passed: number of layers that the others
    have passed by then. of: names of those groups, whose queries are concatenated.

    Raises:
        ValueError: no layer lies in between, or no group is named.
    """

    layer: int
    passed: int
    of: tuple[str, ...]

    def __post_init__(self) -> None:
        if not (0 <= self.passed <= self.layer and self.layer and self.of):
            raise ValueError(f"Queries cannot come in with {self}.")


@dataclass(kw_only=True)
class Group:
    """Queries with an objective of their own, after which their losses are named.

    name: suffix of its losses, "" for the main group. assigner: assigns targets to the queries.
    weight: of class and box losses. blocks: number of equal, consecutive blocks of the Q queries;
    each block is assigned all targets.
    """

    name: str
    assigner: Assigner
    weight: float = 1.0
    blocks: int = 1

    @property
    def first_layer(self) -> int:
        """Index of the first layer with predictions for the group."""
        return 0

    def normaliser(self, step: Step) -> Tensor:
        """The divisor of sums over the queries of each layer, `Tensor[L]` or 0-d, at least 1."""
        return self.assigner.normaliser(step).clamp(min=1)

    def weight_of_mean(self, step: Step) -> float:
        """The weight of a mean over the queries, which covers only part of a step, but all
        blocks.
        """
        return step.share * (self.blocks if self.assigner.sums_blocks else 1)


@dataclass(kw_only=True)
class FurtherTask(Group):
    """An additional objective of a group's queries, on the same predictions.

    of: name of the group. name, assigner, weight, blocks: of the objective itself. targets: what
    they learn; None for the ground truth. first: the group's first layer, set by the model.
    """

    of: str = ""
    targets: Targets | None = None
    first: int = 0

    @property
    def first_layer(self) -> int:
        return self.first


@dataclass(kw_only=True)
class QueryGroup(Group):
    """A group that passes the decoder: its queries attend to their own block, and to the groups in
    `sees`; blocks do not attend to each other.

    queries: the decoder's input. alone: each query attends only to itself within its block. sees:
    names of other groups whose queries are additional keys in self-attention; these groups do not
    attend back. attention_bias: of the self-attention scores; replaces the decoder's bias, if any,
    for the main group and groups that see it. valid: `Tensor[B, Q]` bool, False for padding
    queries, which nobody attends to and to which the assigner must give `NO_LOSS`; each image needs
    at least one valid query. The last two require a group of one block whose queries attend to each
    other and nothing else. own: replacements for the parts of the decoder named in `OWN_PARTS`.
    tokens: additional keys for the queries of each block. start: where it enters, if not before the
    first layer. attends: False for queries that skip self-attention and its norm in every layer,
    and that nobody attends to. branches_from: another group with as many queries, from which this
    one branches off after the self-attention of the first layer; up to there both are identical,
    and `queries.content` is unused.

    Raises:
        ValueError: the queries cannot be divided into the blocks; a bias or padding is not possible
            for this group; an unknown part in `own`; keys for queries that do not attend.
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
        """Number of parts of the queries that do not see each other, and number of queries in
        each.
        """
        queries = self.queries.content.shape[1]
        parts = queries if self.alone else self.blocks
        return parts, queries // max(1, parts)
