"""Hooks for timing, logging, checkpoints, evaluation and the learning rate."""

import datetime
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from detectron2._subset import absent
from detectron2.evaluation.testing import flatten_results_dict
from detectron2.solver import LRMultiplier
from detectron2.utils import comm
from detectron2.utils.events import EventWriter
from fvcore.common.checkpoint import Checkpointer
from fvcore.common.checkpoint import PeriodicCheckpointer as _PeriodicCheckpointer
from fvcore.common.param_scheduler import ParamScheduler
from fvcore.common.timer import Timer
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler as _LRScheduler

from .train_loop import HookBase, TrainerBase

__all__ = [
    "BestCheckpointer",
    "CallbackHook",
    "EvalHook",
    "IterationTimer",
    "LRScheduler",
    "PeriodicCheckpointer",
    "PeriodicWriter",
]
__getattr__ = absent(__name__)

logger = logging.getLogger(__name__)

Callback = Callable[[TrainerBase], None]


class CallbackHook(HookBase):
    """Functions of the trainer as a hook."""

    def __init__(
        self,
        *,
        before_train: Callback | None = None,
        after_train: Callback | None = None,
        before_step: Callback | None = None,
        after_step: Callback | None = None,
    ) -> None:
        self._callbacks = {
            "before_train": before_train,
            "after_train": after_train,
            "before_step": before_step,
            "after_step": after_step,
        }

    def _call(self, name: str) -> None:
        if callback := self._callbacks[name]:
            callback(self.trainer)

    def before_train(self) -> None:
        self._call("before_train")

    def after_train(self) -> None:
        self._call("after_train")
        # They are often closures over the trainer, which would keep it alive.
        self._callbacks.clear()

    def before_step(self) -> None:
        self._call("before_step")

    def after_step(self) -> None:
        self._call("after_step")


class IterationTimer(HookBase):
    """Writes `time`, the seconds of a step, and logs a summary in the end.

    Register it first: then the `after_step` of the other hooks is not counted as training.
    """

    def __init__(self, warmup_iter: int = 3) -> None:
        """
        Args:
            warmup_iter: so many first iterations are left out.
        """
        self._warmup = warmup_iter
        self._step = Timer()
        self._steps = Timer()
        self._start = time.perf_counter()

    def _restart(self) -> None:
        self._start = time.perf_counter()
        self._steps.reset()

    def before_train(self) -> None:
        self._restart()
        self._steps.pause()

    def before_step(self) -> None:
        self._step.reset()
        self._steps.resume()

    def after_step(self) -> None:
        done = self.trainer.iter - self.trainer.start_iter + 1
        if done >= self._warmup:
            self.trainer.storage.put_scalars(time=self._step.seconds())
        else:
            self._restart()
        self._steps.pause()

    def after_train(self) -> None:
        total = time.perf_counter() - self._start
        in_steps = self._steps.seconds()
        counted = self.trainer.storage.iter + 1 - self.trainer.start_iter - self._warmup
        if counted > 0 and in_steps > 0:
            logger.info(
                f"Overall training speed: {counted} iterations in {_clock(in_steps)} "
                f"({in_steps / counted:.4f} s / it)"
            )
        logger.info(f"Total training time: {_clock(total)} ({_clock(total - in_steps)} on hooks)")


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=int(seconds)))


class PeriodicWriter(HookBase):
    """Lets writers write every `period` iterations, after the last one, and in the end."""

    def __init__(self, writers: Sequence[EventWriter], period: int = 20) -> None:
        for writer in writers:
            assert isinstance(writer, EventWriter), f"{writer!r} is not a writer."
        self._writers = writers
        self._period = period

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if done % self._period == 0 or done == self.trainer.max_iter:
            for writer in self._writers:
                writer.write()

    def after_train(self) -> None:
        for writer in self._writers:
            # Hooks before this one may have something new, such as the last evaluation.
            writer.write()
            writer.close()


class PeriodicCheckpointer(_PeriodicCheckpointer, HookBase):
    """fvcore's periodic checkpointer as a hook; the last iteration gives `model_final`."""

    def before_train(self) -> None:
        self.max_iter = self.trainer.max_iter

    def after_step(self) -> None:
        self.step(self.trainer.iter)


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
            assert isinstance(results, dict), f"Eval function must return a dict, got {results}."
            metrics = flatten_results_dict(results)
            for name, value in metrics.items():
                try:
                    metrics[name] = float(value)
                except (TypeError, ValueError) as error:
                    raise ValueError(
                        "[EvalHook] eval_function should return a nested dict of float. "
                        f"Got '{name}: {value}' instead."
                    ) from error
            self.trainer.storage.put_scalars(**metrics, smoothing_hint=False)
        comm.synchronize()

    def after_step(self) -> None:
        # The last iteration is left to after_train, when all else is done.
        if _is_due(self.trainer, self._period):
            self._do_eval()

    def after_train(self) -> None:
        if self._eval_after_train and _is_over(self.trainer):
            self._do_eval()
        del self._evaluate  # often a closure over the trainer


def _is_due(trainer: TrainerBase, period: int) -> bool:
    done = trainer.iter + 1
    return period > 0 and done % period == 0 and done != trainer.max_iter


def _is_over(trainer: TrainerBase) -> bool:
    return trainer.iter + 1 >= trainer.max_iter


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


class LRScheduler(HookBase):
    """Writes `lr` and then steps the scheduler, after every iteration."""

    def __init__(
        self,
        optimizer: Optimizer | None = None,
        scheduler: _LRScheduler | ParamScheduler | None = None,
    ) -> None:
        """
        Args:
            optimizer: the trainer's when not given.
            scheduler: torch's, or a multiplier of the initial learning rates over the whole
                training; the trainer's when not given.
        """
        self._optimizer = optimizer
        self._scheduler = scheduler

    @property
    def scheduler(self) -> _LRScheduler | ParamScheduler:
        return self._scheduler or self.trainer.scheduler

    def before_train(self) -> None:
        self._optimizer = self._optimizer or self.trainer.optimizer
        if isinstance(self.scheduler, ParamScheduler):
            self._scheduler = LRMultiplier(
                self._optimizer,
                self.scheduler,
                self.trainer.max_iter,
                last_iter=self.trainer.iter - 1,
            )
        self._group = self.get_best_param_group_id(self._optimizer)

    @staticmethod
    def get_best_param_group_id(optimizer: Optimizer) -> int:
        """The group whose rate stands for all: the largest, or of groups of one parameter each
        the first with the most frequent rate."""
        groups = optimizer.param_groups
        sizes = [len(group["params"]) for group in groups]
        if max(sizes) > 1:
            return sizes.index(max(sizes))
        rates = [group["lr"] for group in groups]
        return rates.index(Counter(rates).most_common(1)[0][0])

    def after_step(self) -> None:
        lr = self._optimizer.param_groups[self._group]["lr"]
        self.trainer.storage.put_scalar("lr", lr, smoothing_hint=False)
        self.scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return self.scheduler.state_dict() if isinstance(self.scheduler, _LRScheduler) else {}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        if isinstance(self.scheduler, _LRScheduler):
            self.scheduler.load_state_dict(state_dict)
