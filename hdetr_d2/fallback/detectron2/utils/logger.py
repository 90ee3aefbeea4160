"""Loggers for the terminal and the log file, and messages that are not repeated."""

import atexit
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import IO, Any

from detectron2._subset import absent
from detectron2.utils.file_io import PathManager
from tabulate import tabulate
from termcolor import colored

__all__ = [
    "create_small_table",
    "log_every_n_seconds",
    "setup_logger",
]

__getattr__ = absent(__name__)

_PLAIN = "[%(asctime)s] %(name)s %(levelname)s: %(message)s"
_DATE = "%m/%d %H:%M:%S"


class _TerminalFormatter(logging.Formatter):
    """Green prefix with an abbreviated name; warnings and errors are marked in red."""

    def __init__(self, name: str, abbreviation: str) -> None:
        prefix = colored("[%(asctime)s %(name)s]: ", "green")
        super().__init__(prefix + "%(message)s", datefmt=_DATE)
        self._name = name + "."
        self._short = abbreviation + "." if abbreviation else ""

    def formatMessage(self, record: logging.LogRecord) -> str:
        # Other handlers receive the same record, so a copy is changed.
        shown = logging.makeLogRecord(record.__dict__)
        shown.name = record.name.replace(self._name, self._short)
        text = super().formatMessage(shown)
        if record.levelno < logging.WARNING:
            return text
        word = "WARNING" if record.levelno == logging.WARNING else "ERROR"
        return f"{colored(word, 'red', attrs=['bold'])} {text}"


@cache  # a second call with the same arguments must not log every line twice
def setup_logger(
    output: str | None = None,
    distributed_rank: int = 0,
    *,
    color: bool = True,
    name: str = "detectron2",
    abbrev_name: str | None = None,
    enable_propagation: bool = False,
    configure_stdout: bool = True,
) -> logging.Logger:
    """Makes the logger `name` write to the terminal (main process only) and to a file.

    Args:
        output: a .txt or .log file, or a folder for `log.txt`; None for no file. Other processes
            have their own, ending in ".rank<n>".
        abbrev_name: replaces `name` in the terminal; by default "d2" for detectron2.
        enable_propagation: also pass messages to the parent loggers.
        configure_stdout: write to the terminal.
    """
    logger = logging.getLogger(name)
    logger.setLevel(logging.DEBUG)
    logger.propagate = enable_propagation
    plain = logging.Formatter(_PLAIN, datefmt=_DATE)
    if configure_stdout and distributed_rank == 0:
        if abbrev_name is None:
            abbrev_name = "d2" if name == "detectron2" else name
        formatter = _TerminalFormatter(name, abbrev_name) if color else plain
        _add_handler(logger, sys.stdout, formatter)
    if output is not None:
        path = output if output.endswith((".txt", ".log")) else os.path.join(output, "log.txt")
        path += f".rank{distributed_rank}" if distributed_rank else ""
        PathManager.mkdirs(os.path.dirname(path))
        _add_handler(logger, _log_file(path), plain)
    return logger


def _add_handler(logger: logging.Logger, stream: Any, formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger.addHandler(handler)


@cache  # loggers that share a file share the stream, which keeps lines in order
def _log_file(path: str) -> IO[str]:
    file = PathManager.open(path, "a", encoding="utf-8")
    atexit.register(file.close)
    return file


_counts: Counter[tuple[object, ...]] = Counter()
_last_times: dict[tuple[object, ...], float] = {}


def _caller() -> tuple[str, tuple[object, ...]]:
    """Module name and location of the code that called into this file."""
    frame = sys._getframe(2)
    name = frame.f_globals["__name__"]
    place = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
    return ("detectron2" if name == "__main__" else name), place


def log_every_n_seconds(lvl: int, msg: str, n: float = 1, *, name: str | None = None) -> None:
    """Logs unless this line has logged in the last `n` seconds."""
    module, place = _caller()
    now = time.monotonic()
    if now - _last_times.get(place, float("-inf")) >= n:
        _last_times[place] = now
        logging.getLogger(name or module).log(lvl, msg)


def create_small_table(small_dict: Mapping[str, Any]) -> str:
    """A table with one row, with the keys as headers."""
    return tabulate(
        [list(small_dict.values())],
        headers=list(small_dict),
        tablefmt="pipe",
        floatfmt=".3f",
        stralign="center",
        numalign="center",
    )
