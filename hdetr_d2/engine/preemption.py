"""Preemption: the training saves a checkpoint immediately, and exits with a status that says so."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import FrameType
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from detectron2.engine import HookBase
from detectron2.utils import comm

from hdetr_d2.engine.lost_processes import LostProcessError

logger = logging.getLogger(__name__)

STATUS = 75
"""Exit status of a training that was asked to end and can be continued with `--resume`: EX_TEMPFAIL
of sysexits.h.
"""

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]
"""The signals that schedulers send; Windows has no SIGUSR1."""


class Preempted(SystemExit):
    """The training was asked to end. If nobody catches it, the process exits with `STATUS`."""

    def __init__(self) -> None:
        super().__init__(STATUS)


class Preemption(HookBase):
    """Ends the training soon after a signal, with a checkpoint of the progress so far.

    The current step is finished first, in all processes, since weights, optimizer and data are
    consistent only between steps; it is enough that one process gets a signal. Operations that only
    read the weights (`interruptible`), and everything before the first step, are interrupted
    immediately.

    As a context manager it handles signals within the context. As a hook it belongs after the
    checkpoints and before anything that takes long.
    """

    def __init__(self, *, timeout_minutes: float = 30.0) -> None:
        """
        Args:
            timeout_minutes: how long a process waits for the others.
        """
        self.saves_together = False
        """Whether `save` involves all processes: it is then called before any of them may leave."""
        self.timeout = timedelta(minutes=timeout_minutes)
        self.save: Callable[[int], object] = lambda done: None
        """Writes a checkpoint after this number of iterations, unless it exists; called by all
        processes.
        """
        self._asked: str | None = None
        self._may_break_off = True
        self._done: int | None = None  # completed iterations; None before the first step
        self._group: Any = None  # of torch.distributed; None for all processes in the default group
        self._before: dict[signal.Signals, Any] = {}
        self._process = os.getpid()

    def __enter__(self) -> "Preemption":
        # Python allows signal handlers to be set in the main thread only.
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._ask) for each in SIGNALS}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, *rest: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)
        # Another process that was also asked may have ended before this one could react.
        lost = self._asked and isinstance(error, LostProcessError)
        done = f"after {self._done} iterations" if self._done else "before the first step"
        if kind is KeyboardInterrupt:
            logger.warning("Ctrl-C: the training ends %s; --resume takes the last checkpoint", done)
        if kind is Preempted or lost:
            by = self._asked or "Another process was asked"
            logger.warning("%s: the training ends %s, and --resume goes on", by, done)
        if lost:
            raise Preempted from error

    def before_train(self) -> None:
        if comm.get_world_size() > 1 and dist.get_backend() != "gloo":
            # On the host, so that no process waits for a device.
            self._group = dist.new_group(backend="gloo", timeout=self.timeout)
        self._may_break_off = False

    def after_step(self) -> None:
        """Raises Preempted."""
        self._done = self.trainer.iter + 1
        if self._is_anyone_asked():
            self._end()

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Context manager for a potentially long operation that does not change the weights.

        Raises:
            Preempted: at any point within the context.
        """
        if self.saves_together and self._done is not None:
            self.save(self._done)
        self._may_break_off = True
        try:
            if self._asked:
                raise Preempted
            yield
            # If it was raised in a finalizer, Python has printed and ignored it.
            if self._asked:
                raise Preempted
        except Preempted:
            self._end()
        finally:
            self._may_break_off = False

    def _end(self) -> NoReturn:
        # Processes do not wait for each other here: some of them may be gone.
        if self._done is not None:
            self.save(self._done)
        raise Preempted

    def _is_anyone_asked(self) -> bool:
        if comm.get_world_size() == 1:
            return self._asked is not None
        asked = torch.tensor(int(self._asked is not None), device="cpu")
        dist.all_reduce(asked, dist.ReduceOp.MAX, group=self._group)
        return bool(asked)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a data loader worker that inherited this handler
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        self._asked = signal.Signals(number).name
        if self._may_break_off:
            self._may_break_off = False  # what follows must not be interrupted in turn
            raise Preempted
