"""The order of the calls and what of the times is kept, with a clock that is set by hand."""

from collections.abc import Iterator

import pytest
from timing import Effort, HostClock, Side, Times, compare


class SetClock:
    """Gives the next of its times, and notes who was measured, and over how many calls."""

    def __init__(self, seconds: list[float]) -> None:
        self.remaining: Iterator[float] = iter(seconds)
        self.noted: list[str] = []

    def seconds(self, side: Side, calls: int) -> float:
        self.noted.append(f"{side()}{calls}")
        return next(self.remaining)


def test_warm_loops_alternate_and_cold_calls_interleave() -> None:
    warm = [8.0, 3.0, 4.0, 9.0]  # two rounds: a, b, a, b
    cold = [7.0, 6.0, 5.0, 9.0, 8.0, 4.0, 9.0, 9.0]
    clock = SetClock([1.0, 0.5, *warm, *cold])
    times = compare({"a": lambda: "a", "b": lambda: "b"}, clock, Effort(2, loop_seconds=1.5))
    assert clock.noted[:2] == ["a1", "b1"]  # how long is a call?
    assert clock.noted[2:6] == ["a2", "b3", "a2", "b3"]
    assert clock.noted[6:] == ["a1", "b1"] * 4
    assert times == {"a": Times(warm=2.0, cold=5.0), "b": Times(warm=1.0, cold=4.0)}


def test_a_warm_loop_begins_warm() -> None:
    """One call before each loop that is not measured, and one before everything."""
    called: list[str] = []
    sides: dict[str, Side] = {name: lambda name=name: called.append(name) for name in "ab"}
    compare(sides, HostClock(), Effort(1, loop_seconds=0.0))
    assert "".join(called) == "aabb" + "aaabbb" + "abab"


def test_the_host_clock_measures_all_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.perf_counter", iter([10.0, 12.5]).__next__)
    called: list[int] = []
    assert HostClock().seconds(lambda: called.append(1), 3) == 2.5
    assert len(called) == 3
