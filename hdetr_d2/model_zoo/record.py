"""What the training of a checkpoint has left beside it; nothing that another run left there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdetr_d2.engine.hooks import LAST_EVALUATION
from hdetr_d2.visualization import plot_metrics, read_metrics

_FIGURE = re.compile(r"(bbox|segm|panoptic_seg)/((?:AP\d*|AP[smlrcf]|AR|[PSR]Q(?:_th|_st)?)|AP-.+)")
CLASS = "AP-"
METRICS, PICTURE, CONFIG = "metrics.json", "contact_sheet.png", "config.yaml"


@dataclass(frozen=True)
class Record:
    """A run's folder, as far as it tells of one checkpoint.

    folder: None where no run is known. iteration: after which the checkpoint was written.
    """

    folder: Path | None = None
    iteration: int | None = None

    @classmethod
    def of(cls, checkpoint: Path | None, metadata: Mapping[str, Any]) -> "Record":
        """
        Args:
            checkpoint: a file; None for one that is nowhere.
            metadata: what it says of itself.
        """
        iteration = metadata.get("iteration")
        if checkpoint is None or not isinstance(iteration, int):
            return cls()
        evaluated = checkpoint.parent / LAST_EVALUATION
        run = evaluated.read_text().partition(" ")[0] if evaluated.is_file() else None
        if run is None or run != metadata.get("run"):
            return cls(None, iteration)
        return cls(checkpoint.parent, iteration)

    def figures(self) -> dict[str, dict[str, float]]:
        """Of the evaluation of this checkpoint, in percent: "bbox", "segm" or "panoptic_seg" ->
        "AP", ..., and "AP-" with the name of a class. Empty where there was none.
        """
        found: dict[str, dict[str, float]] = {}
        metrics = self._file(METRICS)
        if metrics is None or self.iteration is None:
            return found
        for row in read_metrics(metrics):
            if row["iteration"] == self.iteration - 1:  # the first one is 0
                for name, value in row.items():
                    if match := _FIGURE.fullmatch(name):
                        found.setdefault(match[1], {})[match[2]] = value
        return found

    def draw_curves(self, path: Path) -> bool:
        """Draw the curves of the run; whether there are any."""
        metrics = self._file(METRICS)
        if metrics is not None:
            plot_metrics(metrics, path)
        return metrics is not None

    def picture(self) -> Path | None:
        """Images of the validation data with what the run's model found; None if there is none that
        is as new as the run.
        """
        picture, config = self._file(PICTURE), self._file(CONFIG)
        if picture is None or config is None:
            return None
        return picture if picture.stat().st_mtime >= config.stat().st_mtime else None

    def _file(self, name: str) -> Path | None:
        path = None if self.folder is None else self.folder / name
        return path if path is not None and path.is_file() else None
