"""The order of the calls and what of the times is kept, with a clock that is set by hand."""

from collections.abc import Iterator

import pytest
import torch
from timing import CudaClock, Effort, HostClock, Side, Times, compare


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


class Device:
    """A CUDA device with a clock that is set by hand: the host queues, the device follows."""

    cycles_of_a_second = 2e9

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.host = self.free = self.held = 0.0
        monkeypatch.setattr("time.perf_counter", lambda: self.host)
        monkeypatch.setattr(torch.cuda, "synchronize", self.wait)
        monkeypatch.setattr(torch.cuda, "_sleep", self.hold)
        monkeypatch.setattr(torch.cuda, "Event", lambda enable_timing: DeviceEvent(self))

    def queue(self, launch: float, run: float) -> None:
        self.host += launch
        self.free = max(self.free, self.host) + run

    def hold(self, cycles: int) -> None:
        self.held += cycles / self.cycles_of_a_second
        self.queue(0.0, cycles / self.cycles_of_a_second)

    def wait(self) -> None:
        self.host = max(self.host, self.free)


class DeviceEvent:
    def __init__(self, device: Device) -> None:
        self.device, self.at = device, 0.0

    def record(self) -> None:
        self.at = max(self.device.free, self.device.host)

    def synchronize(self) -> None:
        self.device.wait()

    def elapsed_time(self, end: "DeviceEvent") -> float:
        return 1e3 * (end.at - self.at)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    return Device(monkeypatch)


def test_launches_are_not_in_the_time_of_a_device(device: Device) -> None:
    clock = CudaClock()
    assert clock.seconds(lambda: device.queue(20e-6, 15e-6), 160) == pytest.approx(160 * 15e-6)


def test_a_device_is_held_hardly_longer_than_the_host_queues(device: Device) -> None:
    clock, calls = CudaClock(), 16_000
    clock.seconds(lambda: device.queue(20e-6, 15e-6), calls)
    assert device.held == pytest.approx(calls * 1.5 * 20e-6, rel=0.05)
    assert device.host < 4 * calls * 15e-6


def test_a_device_is_not_held_for_a_host_that_takes_long(device: Device) -> None:
    clock = CudaClock()
    for _ in range(3):
        clock.seconds(lambda: device.queue(0.1, 0.2), 2)
    assert device.held == pytest.approx(3 * clock.longest_hold)


def test_each_side_and_number_of_calls_has_its_own_hold(device: Device) -> None:
    clock = CudaClock()
    quick, slow = (lambda launch=launch: device.queue(launch, 1e-6) for launch in (1e-5, 1e-4))
    for calls in (1, 4):
        for side in (quick, slow):
            clock.seconds(side, calls)
    device.held = 0
    clock.seconds(quick, 4)
    assert device.held == pytest.approx(1.5 * 4e-5)
