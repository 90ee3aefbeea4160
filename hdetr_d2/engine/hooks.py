"""Hooks that run before and after the steps of a training."""

import logging
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detectron2.engine import HookBase
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from fvcore.common.param_scheduler import ParamScheduler
from torch import Tensor
from torch.optim import Optimizer

from hdetr_d2.checkpoint import Checkpointer, write_durably

logger = logging.getLogger(__name__)

BEST = "model_best"
LAST_EVALUATION = "last_evaluation"


class LearningRateHook(HookBase):
    """Sets the learning rate of every parameter group to its base rate times a function of the
    training progress.
    """

    def __init__(self, optimizer: Optimizer, multiplier: ParamScheduler) -> None:
        """
        Args:
            optimizer: as built: its current rates are the base rates.
            multiplier: called with iteration / max_iter; stateless.
        """
        self.optimizer = optimizer
        self.multiplier = multiplier
        self.base = [group["lr"] for group in optimizer.param_groups]
        self.shown = optimizer.defaults["lr"]

    def before_step(self) -> None:
        factor = self.multiplier(self.trainer.iter / self.trainer.max_iter)
        for group, base in zip(self.optimizer.param_groups, self.base, strict=True):
            group["lr"] = base * factor
        self.trainer.storage.put_scalar("lr", self.shown * factor, smoothing_hint=False)


class ForgetHook(HookBase):
    """Every `period` iterations, truncates the history of each metric to the last `keep` values:
    writers look no further back, and a long training would fill the memory.
    """

    def __init__(self, *, period: int, keep: int = 1000) -> None:
        self.period = period
        self.keep = keep

    def after_step(self) -> None:
        if (self.trainer.iter + 1) % self.period == 0:
            for history in self.trainer.storage.histories().values():
                del history.values()[: -self.keep]


class CheckpointHook(HookBase):
    """Saves a checkpoint every `period` iterations and at the end; keeps the last `keep` periodic
    files.
    """

    def __init__(self, checkpointer: Checkpointer, *, period: int, keep: int) -> None:
        self.checkpointer = checkpointer
        self.period = period
        self.keep = keep
        self._files: list[Path] = []
        self._saved = -1

    def before_train(self) -> None:
        if self.checkpointer.save_to_disk:
            # Only those of the resumed run; files left in the folder by another run are not
            # touched.
            self._files = periodic_files(self.checkpointer.save_dir, self.trainer.start_iter)

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if done == self.trainer.max_iter or done % self.period == 0:
            self.save(done)

    def save(self, done: int) -> None:
        """Saves the state after `done` iterations, unless that has been saved already."""
        if done == self._saved:
            return
        is_last = done == self.trainer.max_iter
        name = "model_final" if is_last else f"model_{done:07d}"
        self.checkpointer.save(name, iteration=done)
        self._saved = done
        if not is_last:
            self._remember(Path(self.checkpointer.save_dir) / f"{name}.pth")

    def _remember(self, path: Path) -> None:
        # By now the new file is complete, on disk, and named in last_checkpoint.
        self._files = [*(file for file in self._files if file != path), path]
        while self.checkpointer.save_to_disk and len(self._files) > self.keep:
            self._files.pop(0).unlink(missing_ok=True)


def periodic_files(folder: str, iteration: int) -> list[Path]:
    """The periodic checkpoints in `folder` up to `iteration`, oldest first."""
    matches = (re.fullmatch(r"model_(\d{7,})\.pth", path.name) for path in Path(folder).iterdir())
    numbers = sorted(int(match[1]) for match in matches if match)
    return [Path(folder) / f"model_{number:07d}.pth" for number in numbers if number <= iteration]


def is_evaluated(checkpointer: Checkpointer, iteration: int) -> bool:
    """Whether the checkpointer's run has been evaluated after this number of iterations or
    later.
    """
    path = Path(checkpointer.save_dir) / LAST_EVALUATION
    run, _, done = path.read_text().partition(" ") if path.is_file() else ("", "", "")
    return run == checkpointer.metadata.get("run") and int(done) >= iteration


class EvaluationHook(HookBase):
    """Evaluates every `period` iterations (0: never) and at the end, and keeps the best weights.

    The results go to the storage, as `bbox/AP`. The weights with the highest `best_metric` so far
    are saved to `model_best.pth`, with the value in its metadata, from which a resumed run reads
    it. Likewise, `last_evaluation` records the last complete evaluation: if the run was killed
    during one, it is repeated before the first step.
    """

    def __init__(
        self,
        evaluate: Callable[[], Mapping[str, Any]],
        *,
        period: int,
        checkpointer: Checkpointer,
        weights: Callable[[], Mapping[str, Tensor]],
        best_metric: str,
        best: float | None = None,
        writers: Sequence[EventWriter] = (),
    ) -> None:
        """
        Args:
            evaluate: returns results in the form of Detectron2's evaluators; empty except in the
                main process.
            weights: returns the weights that are evaluated.
            best: the highest metric before this start.
            writers: flushed immediately: rows that wait for the next period would be lost in a
                kill, and rows of a repeated evaluation would appear after later ones.
        """
        self.evaluate = evaluate
        self.period = period
        self.checkpointer = checkpointer
        self.weights = weights
        self.best_metric = best_metric
        self.best = -math.inf if best is None else best
        self.writers = writers

    def before_train(self) -> None:
        done = self.trainer.start_iter
        if done and self._is_due(done) and not is_evaluated(self.checkpointer, done):
            logger.info("The evaluation after %d iterations is missing", done)
            self._evaluate(done)

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if self._is_due(done):
            self._evaluate(done)

    def _is_due(self, done: int) -> bool:
        return done >= self.trainer.max_iter or bool(self.period and done % self.period == 0)

    def _evaluate(self, done: int) -> None:
        results = flatten_results_dict(self.evaluate())
        for name, value in results.items():
            put = self.trainer.storage.put_scalar
            put(name, float(value), smoothing_hint=False, cur_iter=done - 1)
        better = self._is_better(results) if results else False
        if any(comm.all_gather(better)):  # only the main process has results
            self.checkpointer.save_weights(BEST, self.weights(), iteration=done)
        for writer in self.writers:
            writer.write()
        if self.checkpointer.save_to_disk:
            text = f"{self.checkpointer.metadata.get('run')} {done}"
            path = Path(self.checkpointer.save_dir) / LAST_EVALUATION
            write_durably(path, lambda file: file.write(text.encode()))

    def _is_better(self, results: Mapping[str, float]) -> bool:
        """Whether the results are the best so far; if so, they become the new best."""
        if self.best_metric not in results:
            logger.warning(
                "No %s among the results (%s), so no %s.pth: see train.checkpoint.best_metric",
                self.best_metric,
                ", ".join(results),
                BEST,
            )
            return False
        value = float(results[self.best_metric])
        if not value > self.best:  # also for NaN, the value without any detections
            logger.info("%s = %.4f, the best remains %.4f", self.best_metric, value, self.best)
            return False
        logger.info("%s = %.4f is the best so far", self.best_metric, value)
        self.best = value
        self.checkpointer.metadata["best_metric"] = value
        return True
