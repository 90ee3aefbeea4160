"""The interfaces of encoders and decoders."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from hdetr_d2.errors import MisfitError
from hdetr_d2.layers import AttentionBias, Entry, Layout, Span
from hdetr_d2.modeling.heads import PredictionHeads
from hdetr_d2.modeling.transformer.taps import Taps
from hdetr_d2.structures import (
    MAIN,
    DecoderOutput,
    Memory,
    Predictions,
    Queries,
    QueryGroup,
    Start,
    Tap,
)


class Encoder(nn.Module, ABC):
    """Maps features to memory.

    optional: parts that may be missing from initial weights.
    """

    optional: ClassVar[Sequence[str]] = ()

    @abstractmethod
    def forward(self, features: Sequence[Tensor], padding: Tensor) -> Memory:
        """Encodes the maps of a batch.

        Args:
            features: `Tensor[B, C, H_l, W_l]` per level, finest first.
            padding: `Tensor[B, H, W]` bool of the images, True where padded.
        """


class Decoder(nn.Module, ABC):
    """Maps query groups and memory to predictions.

    num_layers: layers with predictions. refine: whether a layer refines the boxes of the previous
    one. heads: class and box heads of the layers. attention_bias: of the self-attention of the main
    group, in training and evaluation, and of groups that see the main group, since they learn to
    act as main queries. Other groups pass the layers without it. optional: see `Encoder`.
    """

    optional: ClassVar[Sequence[str]] = ("attention_bias",)

    num_layers: int
    refine: bool
    heads: PredictionHeads
    attention_bias: AttentionBias | None  # without a value here, which would hide a submodule

    def forward(
        self, groups: Sequence[QueryGroup], memory: Memory, taps: Sequence[Tap] = ()
    ) -> list[Predictions]:
        """The predictions of each group, all groups in one pass, followed by those of each tap,
        whose queries are those of the first group.

        Raises:
            MisfitError: a group would enter as points beside boxes.
            ValueError: a group sees another one that does not exist, has padding or skips
                self-attention; starts from groups that have not entered by then; or branches off
                from a group that does not allow it or has another number of queries.
        """
        order = sorted(range(len(groups)), key=lambda place: groups[place].first_layer)
        row = [groups[place] for place in order]
        queries = Queries.join([group.queries for group in row])
        lengths = [group.queries.content.shape[1] for group in row]
        tapped = Taps(taps, lengths[0])
        output = self.decode(queries, self._spans(row), memory, tapped)
        found = output.split(lengths, [group.first_layer for group in row])
        in_place = [found[order.index(place)] for place in range(len(groups))]
        return [*in_place, *tapped.predictions()]

    def readers(self, layout: Layout) -> list[Callable[[Tensor], Tensor]]:
        """Functions from the states of a layer to logits and box deltas: the heads, or the groups'
        replacements for them.
        """
        shared = (self.heads.class_logits, self.heads.box_deltas)
        return [layout.own(read.__name__, partial(read, layout.layer)) for read in shared]

    @abstractmethod
    def decode(
        self, queries: Queries, groups: Sequence[Span], memory: Memory, taps: Taps
    ) -> DecoderOutput:
        """The predictions for the queries of all groups, concatenated. Its layers are run by
        `taps`, which record what they need.
        """

    def _spans(self, groups: Sequence[QueryGroup]) -> list[Span]:
        """The spans of the groups, in order."""
        places = {group.name: place for place, group in enumerate(groups)}
        for group in groups:
            if absent := set(group.sees) - set(places):
                raise ValueError(
                    f"The group {group.name!r} sees {sorted(absent)}, but there are {list(places)}."
                )
            seen = [groups[places[name]] for name in group.sees]
            if any(each.valid is not None for each in seen):
                raise ValueError(f"The group {group.name!r} cannot see a group with padding.")
            if any(groups[places[name]].first_layer > group.first_layer for name in group.sees):
                raise ValueError(f"The group {group.name!r} cannot see a group that starts later.")
            if any(not each.attends or each.branches_from is not None for each in seen):
                raise ValueError(
                    f"The group {group.name!r} cannot see a group that skips self-attention."
                )
            if group.branches_from is not None:
                _check_source(group, groups)
        return [self._span(group, groups) for group in groups]

    def _span(self, group: QueryGroup, groups: Sequence[QueryGroup]) -> Span:
        places = {each.name: place for place, each in enumerate(groups)}
        sees = tuple(places[name] for name in group.sees)
        padding = None if group.valid is None else ~group.valid[:, None]
        bias = group.attention_bias
        if bias is None and MAIN in (group.name, *group.sees):
            bias = self.attention_bias
        entry = None if group.start is None else _entry(group, group.start, groups)
        if entry is not None and entry.passed == 0 and self.refine:
            _check_boxes(group)
        source = None if group.branches_from is None else places[group.branches_from]
        own = (group.own, group.tokens)
        return Span(*group.layout, sees, bias, padding, *own, entry, group.attends, source)


def _entry(group: QueryGroup, start: Start, groups: Sequence[QueryGroup]) -> Entry:
    """How the group enters, which is after all the groups that it starts from."""
    there = {each.name: each for each in groups if each.first_layer < max(start.passed, 1)}
    if absent := sorted(set(start.of) - set(there)):
        raise ValueError(
            f"The group {group.name!r} starts as {absent} after {start.passed} layers, but by then "
            f"there are {list(there)}."
        )
    number = sum(there[name].queries.content.shape[1] for name in start.of)
    if number != group.queries.content.shape[1]:
        raise ValueError(
            f"The group {group.name!r} has {group.queries.content.shape[1]} queries, but starts as "
            f"{number}."
        )
    places = [each.name for each in groups]
    return Entry(start.layer, start.passed, tuple(places.index(name) for name in start.of))


def _check_boxes(group: QueryGroup) -> None:
    """Raises MisfitError for queries that are points: those that the first layers have refined,
    beside which they enter, are boxes.
    """
    reference = group.queries.reference
    if reference is not None and reference.shape[-1] == 2:
        raise MisfitError(
            f"The group {group.name!r} starts from points, beside queries that layers have refined "
            "to boxes: with decoder.refine=true, model.query_selection must give boxes, as "
            "proposals and learned anchors are."
        )


def _check_source(group: QueryGroup, groups: Sequence[QueryGroup]) -> None:
    """Raises ValueError unless there is a group that `group` can branch off from."""
    source = next((each for each in groups if each.name == group.branches_from), None)
    if source is None or source.branches_from is not None or group.start or source.start:
        raise ValueError(
            f"The group {group.name!r} cannot branch off from {group.branches_from!r} in the first "
            "layer, which is no group that starts there by itself."
        )
    sizes = [each.queries.content.shape[1] for each in (group, source)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"The group {group.name!r} of {sizes[0]} queries cannot branch off from the {sizes[1]} "
            f"of {source.name!r}."
        )
