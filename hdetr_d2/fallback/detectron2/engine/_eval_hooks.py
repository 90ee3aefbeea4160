"""Hooks around an evaluation; they are used as part of `detectron2.engine.hooks`."""

import logging
import math
from collections.abc import Callable, Mapping

from detectron2.evaluation.testing import flatten_results_dict
from detectron2.utils import comm
from fvcore.common.checkpoint import Checkpointer

from .train_loop import HookBase, TrainerBase

logger = logging.getLogger(__name__)


def _is_due(trainer: TrainerBase, period: int) -> bool:
    # The last iteration is left to after_train, when all else is done.
    done = trainer.iter + 1
    return period > 0 and done % period == 0 and done != trainer.max_iter


def _is_over(trainer: TrainerBase) -> bool:
    return trainer.iter + 1 >= trainer.max_iter


class EvalHook(HookBase):
    """Evaluates every `eval_period` iterations, and after a training that came to its end.

    All processes must have this hook, for they wait for each other.
    """

    def __init__(
        self,
        eval_period: int,
        eval_function: Callable[[], Mapping | None],
        eval_after_train: bool = True,
    ) -> None:
        """
        Args:
            eval_period: in iterations; 0 = only in the end.
            eval_function: returns a nested dict of numbers (written as "bbox/AP"), or None.
            eval_after_train: whether to evaluate in the end.
        """
        self._period = eval_period
        self._evaluate = eval_function
        self._eval_after_train = eval_after_train

    def _do_eval(self) -> None:
        """Raises ValueError for a result that is not a number."""
        results = self._evaluate()
        if results:
            assert isinstance(results, dict), f"Not a dict of results: {results}"
            metrics = flatten_results_dict(results)
            for name, value in metrics.items():
                try:
                    metrics[name] = float(value)
                except (TypeError, ValueError) as error:
                    raise ValueError(
                        f"An evaluation returns numbers, but '{name}' of this one is {value!r}."
                    ) from error
            self.trainer.storage.put_scalars(**metrics, smoothing_hint=False)
        comm.synchronize()

    def after_step(self) -> None:
        if _is_due(self.trainer, self._period):
            self._do_eval()

    def after_train(self) -> None:
        if self._eval_after_train and _is_over(self.trainer):
            self._do_eval()
        del self._evaluate  # often a closure over the trainer


class BestCheckpointer(HookBase):
    """Saves a checkpoint whenever a metric is better than it ever was.

    Register it after the `EvalHook` that makes the metric, with the same period.
    """

    def __init__(
        self,
        eval_period: int,
        checkpointer: Checkpointer,
        val_metric: str,
        mode: str = "max",
        file_prefix: str = "model_best",
    ) -> None:
        """
        Args:
            eval_period: in iterations; 0 = only in the end.
            checkpointer: what saves.
            val_metric: name in the storage, such as "bbox/AP50".
            mode: "max" or "min": which is better.
            file_prefix: name of the checkpoint.
        """
        assert mode in ("max", "min"), f'Mode "{mode}" is unknown, it should be "max" or "min".'
        self._period = eval_period
        self._checkpointer = checkpointer
        self._metric = val_metric
        self._sign = 1 if mode == "max" else -1
        self._file_prefix = file_prefix
        self.best_metric: float | None = None
        self.best_iter: int | None = None

    def _save_if_best(self) -> None:
        if self._metric not in self.trainer.storage.latest():
            logger.warning(f"There is no metric '{self._metric}' to choose the best checkpoint by.")
            return
        value, iteration = self.trainer.storage.latest()[self._metric]
        text = f"{self._metric} is {value:.5f} at iteration {iteration}"
        if not math.isfinite(value):
            logger.info(f"Not saving the best model: {text}.")
        elif self.best_metric is None or self._sign * (value - self.best_metric) > 0:
            logger.info(f"Saving the best model: {text} (before: {self.best_metric}).")
            self.best_metric, self.best_iter = value, iteration
            self._checkpointer.save(self._file_prefix, iteration=iteration)
        else:
            logger.info(
                f"Not saving: {text}, no better than {self.best_metric:.5f} at iteration "
                f"{self.best_iter}."
            )

    def after_step(self) -> None:
        if _is_due(self.trainer, self._period):
            self._save_if_best()

    def after_train(self) -> None:
        if _is_over(self.trainer):
            self._save_if_best()
