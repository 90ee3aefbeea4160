"""Loading processes that die, for example because the system runs out of memory."""

import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import extract_tb
from types import TracebackType
from typing import TypeVar

from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)
Batch = TypeVar("Batch")

TRIES = 3
"""Number of consecutive restarts without a batch that is tolerated."""
LOST = "a process that loads data was ended from outside"
ADVICE = "where memory runs out, lower num_workers in dataloader.train or dataloader.test"


def lasting(start: Callable[[int], Iterator[Batch]]) -> Iterator[Batch]:
    """Batches of a DataLoader that survive the loss of its processes.

    Args:
        start: maps the number of batches to skip to an iterator over those that follow. It is
            called again whenever a process is lost.

    Raises:
        UserError: processes are lost repeatedly.
    """
    had, failed = 0, 0
    while True:
        try:
            with _nothing_breaks_in():
                batches = start(had)
            for batch in batches:
                had, failed = had + 1, 0
                yield batch
            return
        except (RuntimeError, OSError, EOFError) as error:
            if not _is_of_a_lost_process(error):
                raise
            failed += 1
            if failed == TRIES:
                raise UserError(f"{TRIES} times in a row {LOST}: {ADVICE}") from error
        logger.warning("%s: others take its place, and no image is left out; %s", LOST, ADVICE)


def leave_quietly(_: int) -> None:
    """Initialises a worker. If the process that it works for is killed, it ends as well, without
    reporting anything, not even what its thread was sending at that moment.
    """
    tell = sys.excepthook

    def tell_of_others(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not issubclass(kind, ConnectionError | EOFError):
            tell(kind, error, trace)

    sys.excepthook = tell_of_others


def _is_of_a_lost_process(error: Exception) -> bool:
    """Torch reports a process that has ended. If it is just ending, its transfer is cut off: either
    here, or in the thread that pins memory, whose death torch then reports.
    """
    if isinstance(error, RuntimeError):
        return str(error).startswith(("DataLoader worker (pid", "Pin memory thread exited"))
    # Errors sent by a worker, for example from a mapper, are not raised where torch waits for it.
    return any(frame.name == "_try_get_data" for frame in extract_tb(error.__traceback__))


@contextmanager
def _nothing_breaks_in() -> Iterator[None]:
    """Loaders that are started within this context report a lost process when they are asked for a
    batch, after some seconds. Torch's own way raises wherever the main thread happens to be, even
    in the middle of an update.
    """
    heeds = hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGCHLD) if heeds else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGCHLD, before)
