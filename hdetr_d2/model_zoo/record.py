"""What the training of a checkpoint has left in its folder, ignoring leftovers of other runs."""

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
    """A run's folder, as far as it concerns one checkpoint.

    folder: None if no run is known. iteration: at which the checkpoint was written.
    """

    folder: Path | None = None
    iteration: int | None = None

    @classmethod
    def of(cls, checkpoint: Path | None, metadata: Mapping[str, Any]) -> "Record":
        """
        Args:
            checkpoint: a file; None if there is none.
            metadata: of the checkpoint.
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
        """The evaluation of this checkpoint, in percent: "bbox", "segm" or "panoptic_seg" -> "AP",
        ..., and "AP-" with a class name. Empty if it was not evaluated.
        """
        found: dict[str, dict[str, float]] = {}
        metrics = self._file(METRICS)
        if metrics is None or self.iteration is None:
            return found
        for row in read_metrics(metrics):
            if row["iteration"] == self.iteration - 1:  # iterations count from 0
                for name, value in row.items():
                    if match := _FIGURE.fullmatch(name):
                        found.setdefault(match[1], {})[match[2]] = value
        return found

    def draw_curves(self, path: Path) -> bool:
        """Draws the curves of the run; returns whether there are any."""
        metrics = self._file(METRICS)
        if metrics is not None:
            plot_metrics(metrics, path)
        return metrics is not None

    def picture(self) -> Path | None:
        """Validation images with detections of the run's model; None if there are none as new as
        the run.
        """
        picture, config = self._file(PICTURE), self._file(CONFIG)
        if picture is None or config is None:
            return None
        return picture if picture.stat().st_mtime >= config.stat().st_mtime else None

    def _file(self, name: str) -> Path | None:
        path = None if self.folder is None else self.folder / name
        return path if path is not None and path.is_file() else None
