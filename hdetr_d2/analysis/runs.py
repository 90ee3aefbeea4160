"""Checkpoints of training runs, in order."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hdetr_d2.analysis.heads import HeadDistances
from hdetr_d2.analysis.instability import Instability, instability
from hdetr_d2.analysis.study import Study


@dataclass(frozen=True)
class Snapshot:
    """A checkpoint and its study. run: id of its training run. iteration: at which it was written;
    None for weights without that information. heads: None for a model with only the decoder.
    """

    name: str
    study: Study
    run: str | None = None
    iteration: int | None = None
    heads: HeadDistances | None = None


@dataclass(frozen=True)
class Change:
    """The change of the matching from one checkpoint of a run to the next."""

    before: Snapshot
    after: Snapshot
    instability: Instability


def changes(snapshots: Sequence[Snapshot]) -> list[Change]:
    """The changes between consecutive checkpoints of each run, on the same images. Of several
    checkpoints with the same iteration, such as the last one and the best one, only the first is
    used.
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
