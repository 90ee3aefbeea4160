"""What the system reports about a process; only on Linux, elsewhere everything is nan."""

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
MIB = 2**20


class Seen(NamedTuple):
    """For a process: resident MiB, those of its child processes, and the number of files that all
    of them have open.
    """

    resident: float
    children: float
    files: float


def look_at(pid: int) -> Seen:
    """nan if the process is gone."""
    try:
        others = [*_started_by(pid)]
        every = (pid, *others)
        return Seen(_resident(pid), sum(map(_resident, others)), sum(map(_open_files, every)))
    except OSError:
        return Seen(math.nan, math.nan, math.nan)


def _resident(pid: int) -> float:
    pages = int((PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def _open_files(pid: int) -> int:
    return len(os.listdir(PROC / str(pid) / "fd"))


def _started_by(pid: int) -> Iterator[int]:
    for task in os.listdir(PROC / str(pid) / "task"):
        text = (PROC / str(pid) / "task" / task / "children").read_text()
        yield from map(int, text.split())
