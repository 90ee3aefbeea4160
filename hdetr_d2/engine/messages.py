"""Routes the log messages of a process: each one goes once to the terminal and once to the log of
its run.
"""

import logging
import sys

from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

_in_use: list[tuple[logging.Logger, logging.Handler]] = []


def write_messages(*names: str, folder: str | None = None) -> list[logging.Handler]:
    """Makes the loggers `names` write to the terminal and to `folder`/log.txt. Handlers of earlier
    calls are removed: a process may train, predict, and train again into another folder.

    Returns:
        The new handlers.
    """
    for log, handler in _in_use:
        log.removeHandler(handler)
    _in_use.clear()
    setup_logger.cache_clear()  # otherwise it would ignore repeated calls
    for name in names:
        log = logging.getLogger(name)
        before = [*log.handlers]
        colored = sys.stdout.isatty()
        setup_logger(folder, comm.get_rank(), name=name, abbrev_name=name, color=colored)
        _in_use.extend((log, handler) for handler in log.handlers if handler not in before)
    return [handler for _, handler in _in_use]
