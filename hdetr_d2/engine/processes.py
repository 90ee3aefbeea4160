"""Processes on this machine that succeed or fail together."""

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
"""Seconds that the other processes are given to finish writing once one has ended."""


def run_together(main: Callable[..., Any], args: tuple, count: int) -> None:
    """Runs `main(number, *args, complaints)` in `count` new processes, and waits for them. Signals
    that request the end are forwarded to them. A process that gives up puts its reason into the
    queue `complaints`.

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
        # The first process to end takes the others down: its message is the reason.
        reason = _reason_of(error)
        if reason is None and not complaints.empty():
            reason = UserError(complaints.get())
        if reason is None:
            raise
        raise reason from None


def _reason_of(error: Exception) -> BaseException | None:
    """The reason implied by the exit status of the first process that ended, or None."""
    if not isinstance(error, mp.ProcessExitedException):
        return None
    # A process killed by one of these signals had not installed its handlers yet.
    if error.exit_code == STATUS or -error.exit_code in SIGNALS:
        return Preempted()
    if error.exit_code < 0:
        return UserError(killed(f"process {error.error_index}", -error.exit_code))
    return None


def killed(what: str, number: int) -> str:
    """A sentence about a process that was ended by a signal."""
    name = signal.Signals(number).name
    hint = ", as the system does where memory runs out" if name == "SIGKILL" else ""
    return f"{what} was ended by {name}{hint}; --resume goes on from the last checkpoint"


@contextmanager
def _signals_to(processes: Sequence[int]) -> Iterator[None]:
    """Context manager that forwards signals requesting the end to the processes, while this process
    keeps waiting.
    """

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
