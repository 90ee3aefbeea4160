"""Times several ways to compute the same thing against each other in one process.

A side is one of those ways: a function without arguments that allocates its own output.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Side = Callable[[], object]


def learn(function: Callable[..., Tensor], *inputs: Tensor) -> Side:
    """Forward and backward of a function."""
    leaves = [each.clone().requires_grad_() for each in inputs]
    gradient = torch.ones_like(function(*leaves))
    return lambda: torch.autograd.grad(function(*leaves), leaves, gradient)


@dataclass(frozen=True)
class Times:
    """Seconds per call, each the best of all rounds.

    Args:
        warm: in a loop of calls of only this side, so that the caches contain its data.
        cold: when every call follows one of each other side.
    """

    warm: float
    cold: float


@dataclass(frozen=True)
class Effort:
    """How much is measured.

    Args:
        rounds: in each of them every side has one warm loop.
        loop_seconds: approximate duration of a warm loop (which has at least two calls).
    """

    rounds: int
    loop_seconds: float = 0.3


class Clock(Protocol):
    def seconds(self, side: Side, calls: int) -> float:
        """How long this many calls of the side take together."""


class HostClock:
    """For sides that are done when they return."""

    def seconds(self, side: Side, calls: int) -> float:
        start = time.perf_counter()
        for _ in range(calls):
            side()
        return time.perf_counter() - start


class CudaClock:
    """Time on the device, by events around the calls.

    The device is blocked until the host has queued the calls, so that launch overhead does not
    affect small cases. The launch queue is short, hence the portions. The host's time is estimated
    from the last time that it queued as many calls of the side.
    """

    portion = 16
    longest_hold = 10e-3  # for a side that is not known yet, and for slower ones
    margin = 1.5
    cycles_of_a_second = 2e9  # approximately

    def __init__(self) -> None:
        self._queueing: dict[tuple[Side, int], float] = {}

    def seconds(self, side: Side, calls: int) -> float:
        whole, rest = divmod(calls, self.portion)
        portions = [self.portion] * whole + [rest] * bool(rest)
        return sum(self._portion_seconds(side, calls) for calls in portions)

    def _portion_seconds(self, side: Side, calls: int) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        torch.cuda._sleep(round(self._hold(side, calls) * self.cycles_of_a_second))
        begun = time.perf_counter()
        start.record()
        for _ in range(calls):
            side()
        end.record()
        self._queueing[side, calls] = time.perf_counter() - begun
        end.synchronize()
        return start.elapsed_time(end) / 1e3

    def _hold(self, side: Side, calls: int) -> float:
        queueing = self._queueing.get((side, calls), self.longest_hold)
        return min(self.margin * queueing, self.longest_hold)


def clock_for(device: str) -> Clock:
    return CudaClock() if device == "cuda" else HostClock()


def compare(sides: Mapping[str, Side], clock: Clock, effort: Effort) -> dict[str, Times]:
    """The times of every side, by name. `clock` is that of their device."""
    calls = {name: _calls(side, clock, effort.loop_seconds) for name, side in sides.items()}
    warm, cold = (dict.fromkeys(sides, math.inf) for _ in range(2))
    for _ in range(effort.rounds):
        for name, side in sides.items():
            side()  # brings back into the caches what the other sides evicted
            warm[name] = min(warm[name], clock.seconds(side, calls[name]) / calls[name])
    for _ in range(effort.rounds * min(calls.values())):
        for name, side in sides.items():
            cold[name] = min(cold[name], clock.seconds(side, 1))
    return {name: Times(warm[name], cold[name]) for name in sides}


def peak_bytes(side: Side) -> int:
    """The peak of what one call allocates on the CUDA device, in addition to what exists before."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    side()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _calls(side: Side, clock: Clock, loop_seconds: float) -> int:
    side()  # the first call may compile, or read files
    return max(2, math.ceil(loop_seconds / clock.seconds(side, 1)))
