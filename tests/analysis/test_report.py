"""Tables and content of numbers that are known."""

import json

import torch

from hdetr_d2.analysis import HeadDistances, Overlap, Snapshot, Study, changes, content, tables

BEST = Overlap(torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.0, 1.0, 1.0]))
LEVEL = Overlap(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))
HEADS = HeadDistances(
    ["decoder", "atss"], torch.tensor([[0.0, 1.0], [3.0, 0.0]]), torch.tensor([[0, 0.5], [0.5, 0]])
)


def snapshot(name: str, iteration: int, queries: list[int], heads=None) -> Snapshot:
    areas = {"features": 1.0, "attention": 0.25}
    study = Study(BEST, LEVEL, areas, [torch.tensor(queries)], [])
    return Snapshot(name, study, "run", iteration, heads)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_tables() -> None:
    snapshots = [snapshot("a", 10, [0, -1]), snapshot("b", 20, [-1, 0], HEADS)]
    curves, matching, heads = tables(snapshots, changes(snapshots)).split("\n\n")
    row = ["a", "10", "1.000", "1.000", "1.000", "0.500", "0.250", "0.200"]
    assert cells(curves.splitlines()[2]) == row
    assert cells(matching.splitlines()[2]) == ["a", "b", "2.000", "1.000"]
    assert cells(heads.splitlines()[0]) == [
        "b: KL divergence from",
        "decoder",
        "atss",
        "mean, both ways",
    ]
    assert cells(heads.splitlines()[3]) == ["atss", "3.000", "0.000", "2.000"]
    assert "\n\n" not in tables(snapshots[:1], [])


def test_content_is_a_json() -> None:
    snapshots = [snapshot("a", 10, [0, -1]), snapshot("b", 20, [-1, 0], HEADS)]
    first, second = json.loads(json.dumps(content(snapshots, [])))["checkpoints"]
    assert first["heads"] is None
    assert second["heads"]["names"] == ["decoder", "atss"]
    assert second["heads"]["means"] == [2, 2]
    assert first["features"]["iof"] == [1, 1, 0]
    assert (first["attention"]["area"], first["attention"]["area_of_each_image"]) == (0.5, 0.25)
