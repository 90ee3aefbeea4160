"""Measures the parts of a training step without making the device wait."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar, Token

import torch

_active: ContextVar["StepTimer | None"] = ContextVar("hdetr_d2_step_timer", default=None)


class StepTimer:
    """Collects the times of named sections of steps, while active in each step (`with timer:`).
    Time in a nested section is attributed only to the inner one, so that the times of a step add
    up.

    On a CUDA device a section is a pair of events that are read only in `pop`: no section
    synchronises. Elsewhere the host's clock is used.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._cuda = torch.device(device).type == "cuda"
        self._spans: dict[str, list] = defaultdict(list)
        self._inner: dict[str, list] = defaultdict(list)  # of nested sections
        self._open: list[str] = []
        self._steps = 0
        self._token: Token | None = None

    def __enter__(self) -> "StepTimer":
        self._steps += 1
        self._token = _active.set(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._token is not None:
            _active.reset(self._token)

    @contextmanager
    def section(self, name: str) -> Iterator[None]:
        start = self._now()
        self._open.append(name)
        try:
            yield
        finally:
            span = (start, self._now())
            self._open.pop()
            self._spans[name].append(span)
            if self._open:
                self._inner[self._open[-1]].append(span)

    def pop(self) -> dict[str, float]:
        """Mean seconds per step of each section since the last call. Waits for the device's last
        event.
        """
        means = {
            name: (self._total(spans) - self._total(self._inner[name])) / self._steps
            for name, spans in self._spans.items()
        }
        self._spans.clear()
        self._inner.clear()
        self._steps = 0
        return means

    def _total(self, spans: list) -> float:
        return sum(map(self._elapsed, spans))

    def _now(self) -> "float | torch.cuda.Event":
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _elapsed(self, span: tuple) -> float:
        start, end = span
        if not self._cuda:
            return end - start
        end.synchronize()
        return start.elapsed_time(end) / 1000


@contextmanager
def untimed() -> Iterator[None]:
    """Disables timing of sections within this context."""
    token = _active.set(None)
    try:
        yield
    finally:
        _active.reset(token)


def section(name: str) -> AbstractContextManager[None]:
    """Times the block as `name` in the active `StepTimer`; does nothing without one."""
    timer = _active.get()
    return nullcontext() if timer is None else timer.section(name)
