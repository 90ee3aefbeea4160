"""Loading processes that end before their time, as the system ends them where memory runs out."""

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
"""So many starts in a row may bring no batch."""
LOST = "a process that loads data was ended from outside"
ADVICE = "where memory runs out, lower num_workers in dataloader.train or dataloader.test"


def lasting(start: Callable[[int], Iterator[Batch]]) -> Iterator[Batch]:
    """The batches of a DataLoader that outlive its processes.

    Args:
        start: from the number of batches that are not wanted any more to those that follow. It is
            called again each time that a process was lost.

    Raises:
        UserError: processes are lost again and again.
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
    """The beginning of a process that loads data. Where the one that it loads for is killed, it
    ends as well, and there is nothing more to tell: not what its thread was handing over just then.
    """
    tell = sys.excepthook

    def tell_of_others(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        if not issubclass(kind, ConnectionError | EOFError):
            tell(kind, error, trace)

    sys.excepthook = tell_of_others


def _is_of_a_lost_process(error: Exception) -> bool:
    """Torch tells of a process that has ended. Where it is just ending, what it was handing over
    breaks off: here, or in the thread that pins memory, which then is what torch misses.
    """
    if isinstance(error, RuntimeError):
        return str(error).startswith(("DataLoader worker (pid", "Pin memory thread exited"))
    # An error that a process has sent, of a mapper, is not raised where torch waits for it.
    return any(frame.name == "_try_get_data" for frame in extract_tb(error.__traceback__))


@contextmanager
def _nothing_breaks_in() -> Iterator[None]:
    """Loaders that are started within it tell of a lost process when they are asked for a batch,
    after some seconds. Torch's own way is to raise wherever the main thread is at that moment: in
    the middle of an update as well.
    """
    heeds = hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGCHLD) if heeds else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGCHLD, before)
