"""Hooks for functions, timing and writing."""

import datetime
import logging
import time
from collections.abc import Callable, Sequence

from detectron2._subset import absent
from detectron2.utils.events import EventWriter
from fvcore.common.timer import Timer

from .train_loop import HookBase, TrainerBase

__all__ = [
    "CallbackHook",
    "IterationTimer",
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
        # They are often closures over the trainer, and would keep it alive.
        self._callbacks.clear()

    def before_step(self) -> None:
        self._call("before_step")

    def after_step(self) -> None:
        self._call("after_step")


class IterationTimer(HookBase):
    """Writes `time`, the seconds of a step, and logs a summary at the end.

    Register it first: then the `after_step` of other hooks is not counted as training.
    """

    def __init__(self, warmup_iter: int = 3) -> None:
        """
        Args:
            warmup_iter: number of first iterations that are not timed.
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
                f"{counted} iterations took {_clock(in_steps)}, {in_steps / counted:.4f} s each, "
                f"without the first {self._warmup - 1}"
            )
        logger.info(f"The training took {_clock(total)}, of it {_clock(total - in_steps)} in hooks")


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=int(seconds)))


class PeriodicWriter(HookBase):
    """Lets writers write every `period` iterations, after the last one, and at the end."""

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
            # Earlier hooks may have added something, such as the last evaluation.
            writer.write()
            writer.close()
