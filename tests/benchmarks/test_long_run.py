import math
from pathlib import Path

import pytest
import torch
from kills import same
from long_run import Look, compare, tenths
from processes import Seen, look_at
from tiny_training import last_iteration


def test_tenths_of_a_run() -> None:
    """100 steps, a line each 5 of them; a step takes as many ms as its tenth says."""
    rows = [{"iteration": step, "time": (step // 10 + 1) / 1e3} for step in range(4, 100, 5)]
    rows[3]["time"] = 9.0  # one step of the second tenth waited
    looks = [Look(step, step * 0.01, Seen(800.0 + step, 1.0, 30)) for step in range(5, 101, 5)]
    found = [*tenths(rows, looks)]
    assert [each.steps for each in found] == [*range(10, 101, 10)]
    assert found[1].best == pytest.approx(2)
    assert found[1].median == pytest.approx((2 + 9000) / 2)
    assert found[4].all == pytest.approx(10)
    assert found[4].resident == 847.5  # of the looks at 45 and 50
    assert "1.0979" in compare(found)  # 897.5 / 817.5


def test_the_last_line_that_is_whole(tmp_path: Path) -> None:
    assert last_iteration(tmp_path) == -1
    (tmp_path / "metrics.json").write_text('{"iteration": 19}\n{"iteration": 39}\n{"itera')
    assert last_iteration(tmp_path) == 39


def test_a_process_that_is_gone() -> None:
    assert all(map(math.isnan, look_at(2**30)))


def test_equal_to_the_bit() -> None:
    state = {"a": [torch.tensor([1.0, 2.0]), 3], "b": {"step": 4}}
    assert same(state, {"a": [torch.tensor([1.0, 2.0]), 3], "b": {"step": 4}})
    assert not same(state, {"a": [torch.tensor([1.0, 2.0000002]), 3], "b": {"step": 4}})
    assert not same(state, {"a": [torch.tensor([1.0, 2.0]), 3], "b": {}})
