"""Metrics of a training: collected in an EventStorage, and read by writers."""

import json
import os
from collections import defaultdict
from functools import cached_property
from typing import Any

from detectron2._subset import absent
from detectron2.utils.file_io import PathManager
from fvcore.common.history_buffer import HistoryBuffer

__all__ = [
    "EventStorage",
    "EventWriter",
    "JSONWriter",
    "TensorboardXWriter",
    "get_event_storage",
]

__getattr__ = absent(__name__)

_storages: list["EventStorage"] = []


def get_event_storage() -> "EventStorage":
    """The storage of the innermost `with EventStorage()`."""
    assert _storages, "get_event_storage() works inside `with EventStorage()` only"
    return _storages[-1]


class EventStorage:
    """Scalars with their histories, all at the current iteration."""

    def __init__(self, start_iter: int = 0) -> None:
        self.iter = start_iter
        self._histories: dict[str, HistoryBuffer] = {}
        self._latest: dict[str, tuple[float, int]] = {}
        self._hints: dict[str, bool] = {}

    @property
    def iter(self) -> int:
        """The current iteration; set by the trainer."""
        return self._iter

    @iter.setter
    def iter(self, value: int) -> None:
        self._iter = int(value)

    def step(self) -> None:
        """Advances to the next iteration, for code without a trainer that does it."""
        self._iter += 1

    def __enter__(self) -> "EventStorage":
        _storages.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        assert _storages[-1] is self
        _storages.pop()

    def put_scalar(
        self, name: str, value: Any, smoothing_hint: bool = True, cur_iter: int | None = None
    ) -> None:
        """Adds a number.

        Args:
            smoothing_hint: whether it is noisy, so that writers show a median. The same for all
                values of a name.
            cur_iter: its iteration, if not the current one.
        """
        at = self._iter if cur_iter is None else cur_iter
        hint = self._hints.setdefault(name, smoothing_hint)
        assert hint == smoothing_hint, f"{name} was put with another smoothing_hint before"
        self._histories.setdefault(name, HistoryBuffer()).update(float(value), at)
        self._latest[name] = (float(value), at)

    def put_scalars(
        self, *, smoothing_hint: bool = True, cur_iter: int | None = None, **scalars: Any
    ) -> None:
        """Adds several numbers."""
        for name, value in scalars.items():
            self.put_scalar(name, value, smoothing_hint=smoothing_hint, cur_iter=cur_iter)

    def history(self, name: str) -> HistoryBuffer:
        """All values of a scalar.

        Raises:
            KeyError: it was never added.
        """
        if name not in self._histories:
            raise KeyError(f"no scalar {name!r} was put")
        return self._histories[name]

    def histories(self) -> dict[str, HistoryBuffer]:
        return self._histories

    def latest(self) -> dict[str, tuple[float, int]]:
        """The last value of every scalar, and its iteration."""
        return self._latest

    def latest_with_smoothing_hint(self, window_size: int = 20) -> dict[str, tuple[float, int]]:
        """`latest`, with the median of the last `window_size` iterations for the noisy ones."""
        return {
            name: (self._median(name, window_size) if self._hints[name] else value, at)
            for name, (value, at) in self._latest.items()
        }

    def count_samples(self, name: str, window_size: int = 20) -> int:
        """The number of values of a scalar in the `window_size` iterations up to its last one."""
        values = self._histories[name].values()
        first = values[-1][1] - window_size + 1
        return sum(1 for _, at in values if at >= first)

    def _median(self, name: str, window_size: int = 20) -> float:
        """The median over the last `window_size` iterations."""
        return self._histories[name].median(self.count_samples(name, window_size))


class EventWriter:
    """Reads what it needs from the current storage from time to time."""

    def write(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Called at the end."""


class JSONWriter(EventWriter):
    """One line of JSON for every iteration with new scalars, appended to a file."""

    def __init__(self, json_file: str, window_size: int = 20) -> None:
        self._file = PathManager.open(json_file, "a", encoding="utf-8")
        self._window_size = window_size
        self._last_write = -1

    def write(self) -> None:
        rows: dict[int, dict[str, float]] = defaultdict(dict)
        scalars = get_event_storage().latest_with_smoothing_hint(self._window_size)
        for name, (value, at) in scalars.items():
            if at > self._last_write:
                rows[at][name] = value
        for at, row in rows.items():
            self._file.write(json.dumps({**row, "iteration": at}, sort_keys=True) + "\n")
        self._last_write = max(rows, default=self._last_write)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


class TensorboardXWriter(EventWriter):
    """Scalars to a TensorBoard event file."""

    def __init__(self, log_dir: str, window_size: int = 20, **kwargs: Any) -> None:
        """`kwargs` go to `torch.utils.tensorboard.SummaryWriter`."""
        self._arguments = {"log_dir": log_dir, **kwargs}
        self._window_size = window_size
        self._last_write = -1

    @cached_property
    def _writer(self) -> Any:
        # Importing TensorBoard takes seconds, and not every process writes.
        from torch.utils.tensorboard import SummaryWriter

        return SummaryWriter(**self._arguments)

    def write(self) -> None:
        storage = get_event_storage()
        scalars = storage.latest_with_smoothing_hint(self._window_size)
        fresh = {name: scalar for name, scalar in scalars.items() if scalar[1] > self._last_write}
        for name, (value, at) in fresh.items():
            self._writer.add_scalar(name, value, at)
        self._last_write = max((at for _, at in fresh.values()), default=self._last_write)

    def close(self) -> None:
        if "_writer" in self.__dict__:
            self._writer.close()
