"""Checkpoints of one training run in their order."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hdetr_d2.analysis.heads import HeadDistances
from hdetr_d2.analysis.instability import Instability, instability
from hdetr_d2.analysis.study import Study


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint and what was seen with it. run: what its training is known by, and iteration:
    after how many it was written; None of weights that do not say so. heads: None of a model that
    has the decoder alone.
    """

    name: str
    study: Study
    run: str | None = None
    iteration: int | None = None
    heads: HeadDistances | None = None


@dataclass(frozen=True)
class Change:
    """Of the matching, from one checkpoint of a run to the next one."""

    before: Snapshot
    after: Snapshot
    instability: Instability


def changes(snapshots: Sequence[Snapshot]) -> list[Change]:
    """Between each two that follow each other in a run; of the same images. Of several after the
    same iteration, as the last checkpoint and the best one may be, the first one stands for all.
    """
    runs: dict[str, dict[int, Snapshot]] = {}
    for snapshot in snapshots:
        if snapshot.run is not None and snapshot.iteration is not None:
            runs.setdefault(snapshot.run, {}).setdefault(snapshot.iteration, snapshot)
    found = []
    for members in runs.values():
        ordered = [members[iteration] for iteration in sorted(members)]
        for before, after in pairwise(ordered):
            rows = before.study.assignments, after.study.assignments
            found.append(Change(before, after, instability(*rows)))
    return found
