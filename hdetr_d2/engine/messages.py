"""Where the messages of a process go: each once to the terminal, and to the log that it is of."""

import logging
import sys

from detectron2.utils import comm
from detectron2.utils.logger import setup_logger

_in_use: list[tuple[logging.Logger, logging.Handler]] = []


def write_messages(*names: str, folder: str | None = None) -> list[logging.Handler]:
    """Let loggers write to the terminal and to `folder`/log.txt. What wrote for an earlier call
    does so no longer: a process may train, predict, and train again into another folder.

    Returns:
        What writes.
    """
    for log, handler in _in_use:
        log.removeHandler(handler)
    _in_use.clear()
    setup_logger.cache_clear()  # it does nothing for what it was asked for before
    for name in names:
        log = logging.getLogger(name)
        before = [*log.handlers]
        colored = sys.stdout.isatty()
        setup_logger(folder, comm.get_rank(), name=name, abbrev_name=name, color=colored)
        _in_use.extend((log, handler) for handler in log.handlers if handler not in before)
    return [handler for _, handler in _in_use]
