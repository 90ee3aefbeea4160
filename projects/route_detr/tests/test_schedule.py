import json
from pathlib import Path

import pytest
from detectron2.config import LazyConfig, instantiate

from hdetr_d2.projects.route_detr import CosineWarmup

HERE = Path(__file__).parent
RECORDED = json.loads((HERE / "route_detr.json").read_text())["schedule_main_py"]


def test_half_a_cosine_between_two_values():
    rise = CosineWarmup(first=1.0, last=3.0, after=2, over=4, epochs=8)
    found = [rise(epoch / 8) for epoch in range(9)]
    wave = 2 - 0.5**0.5  # one minus the cosine of 45 degrees
    assert found == pytest.approx([1, 1, 1, wave, 2, 4 - wave, 3, 3, 3])


def test_equal_ends_are_a_constant_and_no_length_is_a_jump():
    constant = CosineWarmup(first=0.5, last=0.5, after=1, over=1, epochs=4)
    assert {constant(done) for done in (0.0, 0.3, 1.0)} == {0.5}
    jump = CosineWarmup(first=0.0, last=1.0, after=1, over=0, epochs=4)
    assert [jump(done) for done in (0.0, 0.24, 0.25, 1.0)] == [0, 0, 1, 1]


@pytest.mark.parametrize("iterations", [7, 100, 7393])
def test_the_released_preset_steps_as_recorded(iterations: int):
    node = LazyConfig.load(str(HERE.parent / "configs" / "common" / "routing.py")).released_code
    schedules = {"gating_lambda": node.strength, "aux_alpha": node.weight}
    for name, schedule in schedules.items():
        schedule.epochs = 12
        value = instantiate(schedule)
        for recorded in RECORDED:
            first = recorded["epoch"] * iterations
            for iteration in (first, first + iterations - 1):
                found = value(iteration / (12 * iterations))
                assert found == pytest.approx(recorded[name], abs=1e-6)


@pytest.mark.parametrize("wrong", [dict(after=-1), dict(over=-1), dict(epochs=0)])
def test_lengths_that_are_none(wrong: dict):
    with pytest.raises(ValueError, match="must be at least 0"):
        CosineWarmup(**{**dict(first=0, last=1, after=0, over=1, epochs=2), **wrong})
