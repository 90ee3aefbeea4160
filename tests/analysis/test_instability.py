"""Permutations whose changes can be counted, and the order of checkpoints."""

import math

import pytest
import torch

from hdetr_d2.analysis import Overlap, Snapshot, Study, changes, instability

CURVE = Overlap(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]))


def rows(*lists: list[int]) -> list[torch.Tensor]:
    return [torch.tensor(values) for values in lists]


def test_nothing_changes() -> None:
    same = rows([0, -1, 1], [-1, -1, 0])
    assert instability(same, same) == (0, 0)


def test_two_targets_that_change_their_queries() -> None:
    # 0 and 1 swap, 2 stays: two queries.
    assert instability(rows([0, 1, 2, -1]), rows([1, 0, 2, -1])) == (2, pytest.approx(2 / 3))


def test_a_target_that_leaves_one_query_for_a_free_one() -> None:
    # One query loses its target, another one finds it; in the second image nothing changes.
    before, after = rows([0, -1, 1], [0, 1, -1]), rows([-1, 0, 1], [0, 1, -1])
    assert instability(before, after) == (1, 0.25)


def test_images_without_objects() -> None:
    empty = rows([-1, -1])
    queries, targets = instability(empty, empty)
    assert queries == 0 and math.isnan(targets)


def test_other_numbers_of_queries_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="3 queries cannot be compared with 2"):
        instability(rows([0, 1, -1]), rows([0, 1]))


def snapshot(name: str, run: str | None, iteration: int | None, queries: list[int]) -> Snapshot:
    return Snapshot(name, Study(CURVE, CURVE, {}, rows(queries), []), run, iteration)


def test_checkpoints_of_a_run_are_compared_in_its_order() -> None:
    found = changes(
        [
            snapshot("late", "a", 30, [0, 1, -1]),
            snapshot("early", "a", 10, [1, 0, -1]),
            snapshot("other", "b", 20, [0, -1]),
            snapshot("middle", "a", 20, [0, 1, -1]),
            snapshot("best", "a", 30, [0, 1, -1]),
            snapshot("converted", None, None, [0]),
        ]
    )
    names = [(change.before.name, change.after.name) for change in found]
    assert names == [("early", "middle"), ("middle", "late")]
    assert [change.instability.queries for change in found] == [2, 0]
