"""metrics.json: one line of strict JSON for every iteration with new values."""

import os

from detectron2.utils.events import EventWriter, get_event_storage

from hdetr_d2.utils.strict_json import to_json


class MetricsFile(EventWriter):
    """Like Detectron2's JSONWriter, but ordered by iteration, and with null in place of NaN and
    Infinity, which most JSON readers reject.
    """

    def __init__(self, path: str, *, window: int = 20) -> None:
        """
        Args:
            path: of the file; an existing file is appended to.
            window: smoothed values are medians over this many iterations.
        """
        self._file = open(path, "a", encoding="utf-8")  # noqa: SIM115 - `close` closes it
        self._window = window
        self._written = -1

    def write(self) -> None:
        rows: dict[int, dict[str, float]] = {}
        scalars = get_event_storage().latest_with_smoothing_hint(self._window)
        for name, (value, iteration) in scalars.items():
            if iteration > self._written:
                rows.setdefault(iteration, {})[name] = value
        for iteration in sorted(rows):
            row = {**rows[iteration], "iteration": iteration}
            self._file.write(to_json(row, sort_keys=True) + "\n")
        self._written = max(rows, default=self._written)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
