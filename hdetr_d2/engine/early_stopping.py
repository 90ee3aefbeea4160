"""Ends a training that has stopped improving."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from detectron2.engine import HookBase
from detectron2.utils import comm

from hdetr_d2.errors import UserError
from hdetr_d2.visualization import read_metrics

logger = logging.getLogger(__name__)


class TrainingEnds(BaseException):
    """Raised to end a training before its last iteration without an error; the message says why.
    (Detectron2's training loop reports any Exception as a failure.)
    """


class EarlyStopping(HookBase):
    """Ends the training with a final checkpoint once `patience` consecutive evaluations have not
    improved `metric`. A resumed run reads earlier values from its metrics.json.
    """

    def __init__(
        self,
        *,
        metric: str = "bbox/AP",
        patience: int | None,
        mode: Literal["max", "min"] = "max",
        min_change: float = 0.0,
        period: int,
        folder: str,
        save: Callable[[int], object],
    ) -> None:
        """
        Args:
            metric: a name in metrics.json, such as `bbox/AP` or `validation/total_loss`.
            patience: number of consecutive evaluations without improvement that ends the training;
                None for no limit.
            mode: whether higher or lower is better.
            min_change: minimum difference that an improvement must exceed.
            period: iterations between evaluations.
            folder: output folder of the run.
            save: writes the final checkpoint, given the number of completed iterations.

        Raises:
            ValueError: an option is out of range.
        """
        if patience is not None and (type(patience) is not int or patience < 1):
            raise ValueError(f"patience={patience} must be a positive whole number, or null")
        if mode not in ("max", "min"):
            raise ValueError(f"mode={mode} must be max or min")
        if not min_change >= 0:
            raise ValueError(f"min_change={min_change} must not be negative")
        if patience is not None and not period:
            raise ValueError("it waits for evaluations, and train.eval_period_epochs is 0")
        self.metric = metric
        self.patience = math.inf if patience is None else patience
        self.sign = 1 if mode == "max" else -1
        self.min_change = min_change
        self.period = period
        self.folder = Path(folder)
        self.save = save
        self._values: list[float] = []
        self._seen = -1

    def before_train(self) -> None:
        start = self.trainer.start_iter
        if start and self.patience < math.inf and comm.is_main_process():
            rows = [row for row in self._rows() if row["iteration"] < start]
            self._values = [row[self.metric] for row in rows if self.metric in row]
        if (reason := self._reason()) is not None:
            raise TrainingEnds(f"{reason}: nothing is left to do")

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if not self.period or done % self.period or done >= self.trainer.max_iter:
            return
        if comm.is_main_process():
            self._look()
        if (reason := self._reason()) is not None:
            self.save(done)
            raise TrainingEnds(f"{reason}: the training ends after {done} iterations")

    def _rows(self) -> Sequence[Mapping[str, float]]:
        try:
            return read_metrics(self.folder / "metrics.json")
        except UserError as error:  # a killed run may have left it empty
            logger.warning("Early stopping counts anew: %s", error)
            return []

    def _look(self) -> None:
        value, iteration = self.trainer.storage.latest().get(self.metric, (math.nan, -1))
        if iteration > self._seen:
            self._seen = iteration
            self._values.append(value)
        elif self.patience < math.inf:
            logger.warning(
                "No new %s among the metrics, so the training goes on: see "
                "train.early_stopping.metric",
                self.metric,
            )

    def _reason(self) -> str | None:
        """The reason to end the training, or None; the same in every process, although only the
        main process has the results.
        """
        best, waited = wait([self.sign * value for value in self._values], self.min_change)
        text = f"no better {self.metric} than {self.sign * best:.4f} in {waited} evaluations"
        return comm.all_gather(text if waited >= self.patience else None)[0]


def wait(values: Sequence[float], min_change: float = 0.0) -> tuple[float, int]:
    """The best value, and how many later values did not improve on it; NaN is never an
    improvement.
    """
    best, waited = -math.inf, 0
    for value in values:
        better = value > best + min_change
        best, waited = (value, 0) if better else (best, waited + 1)
    return best, waited
