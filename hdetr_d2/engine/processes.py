"""Processes of this machine that stand and fall together."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch.multiprocessing as mp

from hdetr_d2.engine.preemption import SIGNALS, STATUS, Preempted
from hdetr_d2.errors import UserError

GRACE = 30.0
"""Seconds for the others, once one has ended, to write what they have to."""


def run_together(main: Callable[..., Any], args: tuple, count: int) -> None:
    """Run `main(number, *args, complaints)` in `count` new processes, and wait for them. Signals
    that ask for an end are passed on to them. What a process puts into the queue `complaints` is
    why it gives up.

    Raises:
        UserError: a process gave up, or was killed.
        Preempted: they were asked to end.
    """
    complaints = mp.get_context("spawn").SimpleQueue()
    given = (*args, complaints)
    processes = mp.start_processes(main, given, nprocs=count, join=False, start_method="spawn")
    try:
        with _signals_to(processes.pids()):
            while not processes.join(grace_period=GRACE):
                pass
    except (mp.ProcessExitedException, mp.ProcessRaisedException) as error:
        # One process ends and takes the others down: what it said is the reason.
        reason = _reason_of(error)
        if reason is None and not complaints.empty():
            reason = UserError(complaints.get())
        if reason is None:
            raise
        raise reason from None


def _reason_of(error: Exception) -> BaseException | None:
    """What the status of the first process that ended tells; None: nothing."""
    if not isinstance(error, mp.ProcessExitedException):
        return None
    if error.exit_code == STATUS or -error.exit_code in SIGNALS:  # it did not listen yet
        return Preempted()
    if error.exit_code < 0:
        return UserError(killed(f"process {error.error_index}", -error.exit_code))
    return None


def killed(what: str, number: int) -> str:
    """A sentence about a process that a signal has ended."""
    name = signal.Signals(number).name
    hint = ", as the system does where memory runs out" if name == "SIGKILL" else ""
    return f"{what} was ended by {name}{hint}; --resume goes on from the last checkpoint"


@contextmanager
def _signals_to(processes: Sequence[int]) -> Iterator[None]:
    """Within it, they get the signals that ask for an end, and this process goes on waiting."""

    def pass_on(number: int, frame: object) -> None:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.signal(each, pass_on) for each in SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
