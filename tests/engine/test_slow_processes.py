import gc
import logging
import weakref

import pytest
from detectron2.utils import comm

from hdetr_d2.engine.slow_processes import SlowProcesses


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """What the three processes tell of themselves; this one is process 0."""
    told = [{"data": 0.1}, {"data": 0.1}, {"data": 0.1}]
    monkeypatch.setattr(comm, "get_world_size", lambda: 3)
    monkeypatch.setattr(comm, "all_gather", lambda mine: [mine, *told[1:]])
    return told


def look(caplog: pytest.LogCaptureFixture, *times: dict[str, float]) -> str:
    slow = SlowProcesses(period=2)
    with caplog.at_level(logging.WARNING):
        for iteration, each in enumerate(times):
            slow.look(iteration, each)
    return caplog.text


def test_one_that_keeps_the_others_waiting_is_named_once(
    three: list[dict[str, float]], caplog: pytest.LogCaptureFixture
) -> None:
    three[2] = {"data": 0.3, "forward": 0.2}
    text = look(caplog, *[{"data": 0.1, "forward": 0.1}] * 6)
    told = (
        "the others wait for process 2 of 3, which took 0.500 s a step (data 0.300, forward 0.200)"
    )
    assert text.count(f"Iteration 1: {told} where they took 0.150 s") == 1
    assert text.count("wait for") == 1


def test_times_are_means_since_the_last_look(
    three: list[dict[str, float]], caplog: pytest.LogCaptureFixture
) -> None:
    # 0.15 and 0.25: the last is twice as long as the others and more.
    assert not look(caplog, {"data": 0.1}, {"data": 0.2}, {"data": 0.2})
    assert "Iteration 1: the others wait for process 0 of 3" in look(
        caplog, {"data": 0.2}, {"data": 0.3}
    )


def test_waiting_for_others_is_no_work_of_its_own(
    three: list[dict[str, float]], caplog: pytest.LogCaptureFixture
) -> None:
    assert not look(caplog, *[{"data": 0.1, "backward": 9.0}] * 4)


def test_very_short_steps_differ_by_chance(
    three: list[dict[str, float]], caplog: pytest.LogCaptureFixture
) -> None:
    three[1:] = [{"data": 0.001}, {"data": 0.001}]
    assert not look(caplog, *[{"data": 0.01}] * 4)


def test_a_process_alone_waits_for_nobody(caplog: pytest.LogCaptureFixture) -> None:
    assert not look(caplog, *[{"data": 9.0}] * 4)


def test_one_process_keeps_no_times() -> None:
    """They would fill the memory of a long training."""

    class Times(dict[str, float]):  # which can be referred to weakly
        pass

    slow, times = SlowProcesses(period=1000), Times(data=0.1)
    kept = weakref.ref(times)
    slow.look(0, times)
    del times
    gc.collect()
    assert kept() is None
