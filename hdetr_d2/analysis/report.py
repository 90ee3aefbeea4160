"""The numbers of several checkpoints, as tables and as json."""

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from hdetr_d2.analysis.heads import HeadDistances
from hdetr_d2.analysis.overlap import Overlap
from hdetr_d2.analysis.runs import Change, Snapshot
from hdetr_d2.analysis.study import PARTS

IOB = 0.8
"""The IoB at which IoF is reported."""


def tables(snapshots: Sequence[Snapshot], changes: Sequence[Change]) -> str:
    """GitHub tables of the curves and, if there are any, of the matching changes and of the
    distances between heads.
    """
    kinds = ("area", "area of each image", f"IoF at IoB {IOB}")
    columns = [f"{part}: {kind}" for part in PARTS for kind in kinds]
    rows = [[s.name, s.iteration, *_numbers(s)] for s in snapshots]
    parts = [tabulate(rows, ["checkpoint", "iteration", *columns], "github", floatfmt=".3f")]
    if changes:
        headers = ["from", "to", "IS: changed queries of an image", "changed targets"]
        lines = [[c.before.name, c.after.name, *c.instability] for c in changes]
        parts.append(tabulate(lines, headers, "github", floatfmt=".3f"))
    parts += [_heads_table(s.name, s.heads) for s in snapshots if s.heads is not None]
    return "\n\n".join(parts)


def _heads_table(name: str, heads: HeadDistances) -> str:
    rows = zip(heads.names, heads.kl.tolist(), heads.means.tolist(), strict=True)
    columns = [f"{name}: KL divergence from", *heads.names, "mean, both ways"]
    return tabulate([[head, *row, mean] for head, row, mean in rows], columns, "github", ".3f")


def content(snapshots: Sequence[Snapshot], changes: Sequence[Change]) -> dict[str, Any]:
    """All numbers, including the curves, as plain data for json."""
    return {
        "checkpoints": [_entry(snapshot) for snapshot in snapshots],
        "changes": [
            {"from": c.before.name, "to": c.after.name, **c.instability._asdict()} for c in changes
        ],
    }


def _numbers(snapshot: Snapshot) -> list[float]:
    numbers = list[float]()
    for part in PARTS:
        curve: Overlap = getattr(snapshot.study, part)
        numbers += [curve.area, snapshot.study.areas[part], curve.iof_at(IOB)]
    return numbers


def _entry(snapshot: Snapshot) -> dict[str, Any]:
    study = snapshot.study
    curves = {part: _curve(getattr(study, part), study.areas[part]) for part in PARTS}
    return {
        "name": snapshot.name,
        "iteration": snapshot.iteration,
        "images": len(study.assignments),
        **curves,
        "heads": None if snapshot.heads is None else _heads(snapshot.heads),
    }


def _heads(heads: HeadDistances) -> dict[str, Any]:
    tables = {"kl": heads.kl, "l2": heads.l2, "means": heads.means}
    return {"names": heads.names, **{kind: table.tolist() for kind, table in tables.items()}}


def _curve(curve: Overlap, area_of_each_image: float) -> dict[str, Any]:
    return {
        "area": curve.area,
        "area_of_each_image": area_of_each_image,
        f"iof_at_iob_{IOB}": curve.iof_at(IOB),
        "iof": curve.iof.tolist(),
        "iob": curve.iob.tolist(),
    }
