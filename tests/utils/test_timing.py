"""Times of the sections of a step: whole steps, and no second in two sections."""

import time
from collections.abc import Iterator

import pytest

from hdetr_d2.utils.timing import StepTimer, section


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """What `time.perf_counter` tells."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    yield now


def micro_batch(clock: list[float]) -> None:
    with section("forward"):
        clock[0] += 4.0
        with section("match"):
            clock[0] += 2.0
        with section("loss"):
            clock[0] += 1.0
    with section("backward"):
        clock[0] += 8.0


def test_the_sections_of_a_step_with_several_micro_batches_add_up(clock: list[float]) -> None:
    timer = StepTimer()
    for count in (2, 4):
        with timer:
            for _ in range(count):
                micro_batch(clock)
    # 6 micro-batches in 2 steps
    times = timer.pop()
    assert times == {"forward": 12.0, "match": 6.0, "loss": 3.0, "backward": 24.0}
    assert 2 * sum(times.values()) == clock[0]
    assert timer.pop() == {}


def test_without_a_timer_nothing_is_timed(clock: list[float]) -> None:
    micro_batch(clock)
    timer = StepTimer()
    with timer, section("match"):
        clock[0] += 1.0
    assert timer.pop() == {"match": 1.0}
