"""Where the metrics of a training go: the console, metrics.json, TensorBoard, trackers."""

import datetime
import logging
import os
from collections.abc import Mapping
from typing import Any

from detectron2.utils.events import (
    EventStorage,
    EventWriter,
    TensorboardXWriter,
    get_event_storage,
)

from hdetr_d2.engine.metrics_file import MetricsFile
from hdetr_d2.engine.trackers import MlflowWriter, WandbWriter
from hdetr_d2.losses import is_of_last_layer

logger = logging.getLogger(__name__)

PARTS = ("data", "forward", "match", "loss", "backward", "graph", "optimizer")


class ConsoleWriter(EventWriter):
    """Writes one log line: iteration, epoch, remaining time, losses, rate, times per iteration,
    memory.

    Only the total loss and those of the last layer are shown; the files have the others, too.
    """

    def __init__(self, *, max_iter: int, iterations_per_epoch: int, window: int = 20) -> None:
        """
        Args:
            window: losses are medians, and times means, over this many iterations.
        """
        self.max_iter = max_iter
        self.iterations_per_epoch = iterations_per_epoch
        self.window = window
        self._written = -1

    def write(self) -> None:
        storage = get_event_storage()
        latest = storage.latest().get("total_loss")
        if latest is None or latest[1] <= self._written:
            return
        self._written = latest[1]
        done = self._written + 1
        logger.info(
            "iteration %d/%d  epoch %.2f  %s%s  lr %.3g  %s%s",
            done,
            self.max_iter,
            done / self.iterations_per_epoch,
            self._time_left(storage, self.max_iter - done),
            self._losses(storage),
            storage.history("lr").latest(),
            self._times(storage),
            f"  memory {storage.history('memory/peak_mb').latest():.0f} MB",
        )

    def _time_left(self, storage: EventStorage, iterations: int) -> str:
        # The first iterations are not timed, because they are slower than the rest.
        if "time" not in storage.latest():
            return ""
        seconds = storage.history("time").avg(1000) * iterations
        return f"ETA {datetime.timedelta(seconds=int(seconds))}  "

    def _losses(self, storage: EventStorage) -> str:
        names = filter(is_of_last_layer, storage.latest())
        return "  ".join(
            f"{name} {storage.history(name).median(self.window):.4g}"
            for name in ["total_loss", *names]
        )

    def _times(self, storage: EventStorage) -> str:
        # The mean, since on CUDA most steps return early, and an occasional one waits for all of
        # them.
        total = self._newest(storage, "time")
        first = total[0][1] if total else 0
        seconds = {
            part: [value for value, at in self._newest(storage, f"time/{part}") if at >= first]
            for part in PARTS
        }
        # Not every step has every part, and on CUDA only some steps report for all before them.
        told = max(map(len, seconds.values()))
        parts = ", ".join(
            f"{part} {sum(each) / told:.3f}" for part, each in seconds.items() if each
        )
        if not total:
            return f"({parts})"
        return f"{sum(value for value, _ in total) / len(total):.3f} s/it ({parts})"

    def _newest(self, storage: EventStorage, name: str) -> list[tuple[float, float]]:
        """The values within the window, with their iterations."""
        if name not in storage.latest():
            return []
        return storage.history(name).values()[-self.window :]


def build_writers(
    *,
    folder: str,
    start_iteration: int,
    max_iter: int,
    iterations_per_epoch: int,
    wandb: Mapping[str, Any],
    mlflow: Mapping[str, Any] | None = None,
    config: Mapping[str, Any],
) -> list[EventWriter]:
    """The writers of the main process.

    Args:
        folder: folder for metrics.json (a resumed run appends to it) and the TensorBoard events.
        start_iteration: TensorBoard hides events that a killed run wrote from this iteration on.
        wandb: options `enabled`, `project` and `name`.
        mlflow: options `enabled`, `experiment` and `name`; None disables it.
        config: shown by the trackers as the settings of the run.

    Raises:
        UserError: wandb or mlflow is requested but not installed, or does not start.
    """
    writers: list[EventWriter] = [
        ConsoleWriter(max_iter=max_iter, iterations_per_epoch=iterations_per_epoch),
        MetricsFile(os.path.join(folder, "metrics.json")),
        TensorboardXWriter(folder, purge_step=start_iteration or None),
    ]
    if wandb["enabled"]:
        writers.append(
            WandbWriter(project=wandb["project"], name=wandb["name"], config=config, folder=folder)
        )
    if mlflow is not None and mlflow["enabled"]:
        given = {"experiment": mlflow["experiment"], "name": mlflow["name"]}
        writers.append(MlflowWriter(**given, config=config, folder=folder))
    return writers
