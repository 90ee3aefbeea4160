"""Combines the schemes of a model: which query groups there are, and what they learn."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from hdetr_d2.errors import MisfitError
from hdetr_d2.modeling.transformer import QuerySelection
from hdetr_d2.modeling.transformer.query_selection import Selection, Slots
from hdetr_d2.schemes.base import Scheme
from hdetr_d2.structures import (
    MAIN,
    PROPOSALS,
    Assigner,
    FurtherTask,
    Group,
    GroupOutput,
    Match,
    Memory,
    Predictions,
    Queries,
    QueryGroup,
)


def capacities(schemes: Sequence[Scheme], num_layers: int, progress: float) -> tuple[int, ...]:
    """Maximum number of main queries per target in each layer."""
    # At most one scheme returns more than 1.
    return tuple(
        max((each.capacity(layer, num_layers, progress) for each in schemes), default=1)
        for layer in range(num_layers)
    )


def main_group(
    schemes: Sequence[Scheme], queries: Queries, num_layers: int, progress: float = 0.0
) -> QueryGroup:
    """The main group for a decoder with `num_layers`, at this training progress."""
    assigner: Assigner = Match(capacities(schemes, num_layers, progress))
    for scheme in schemes:
        assigner = scheme.assigner_of_main(assigner)
    return QueryGroup(name=MAIN, queries=queries, assigner=assigner)


def proposals_group(schemes: Sequence[Scheme], weight: float) -> Group:
    """The proposals of a two-stage selection, with the `weight` of their losses."""
    assigner: Assigner = Match((1,))
    for scheme in schemes:
        assigner = scheme.assigner_of_proposals(assigner)
    return Group(name=PROPOSALS, assigner=assigner, weight=weight)


def select(
    selection: QuerySelection,
    schemes: Sequence[Scheme],
    slots: Mapping[str, Slots],
    memory: Memory,
) -> tuple[Selection, dict[str, Queries], dict[str, Predictions]]:
    """The main queries, those for the schemes' `slots`, and the proposals of schemes' own heads."""
    asked: dict[str, Any] = {each.name: each.proposal_heads() for each in schemes}
    heads = {name: each for name, each in asked.items() if each is not None}
    ranked = {name: each for name, each in slots.items() if name not in heads}
    selected = selection(memory, list(ranked.values()))
    queries = dict(zip(ranked, selected.extra, strict=True))
    proposals: dict[str, Predictions] = {}
    for name, own in heads.items():
        among = slots.get(name, selection.slots)
        queries[name], proposals[name] = selection.select(memory, among, own)
    return selected, queries, proposals


def further_outputs(
    outputs: Sequence[GroupOutput], tasks: Sequence[FurtherTask]
) -> list[GroupOutput]:
    """The outputs of groups that have additional objectives, once per objective.

    Raises:
        MisfitError: an objective names a group that does not exist.
    """
    given = {output.group.name: output for output in outputs}
    for task in tasks:
        if task.of not in given:
            raise MisfitError(
                f"The task {task.name!r} is of the group {task.of!r}, but there are {list(given)}."
            )
    return [_further(given[task.of], task) for task in tasks]


def _further(output: GroupOutput, task: FurtherTask) -> GroupOutput:
    task = replace(task, first=output.group.first_layer)
    return replace(output, group=task, targets=task.targets or output.targets)


def add_losses(losses: dict[str, Tensor], more: Mapping[str, Tensor]) -> None:
    """Raises MisfitError for a loss that exists already: two groups have the same name."""
    if twice := sorted(losses.keys() & more.keys()):
        raise MisfitError(f"Two groups of queries or heads have the losses {', '.join(twice)}.")
    losses.update(more)
