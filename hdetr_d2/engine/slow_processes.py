"""Detects a process that all others wait for."""

import logging
from collections.abc import Mapping
from statistics import median

from detectron2.utils import comm

logger = logging.getLogger(__name__)

OWN = ("data", "forward", "match", "loss")
"""Sections of a step in which processes do not wait for each other."""


class SlowProcesses:
    """Compares the time that processes spend on their own work, and reports each process that
    delays the others, once.

    Args:
        period: number of steps between checks; all processes check together.
        ratio: a process is slow if it takes more than this factor times the median of the others.
        least: a slow process also takes more than this many seconds per step longer.
    """

    def __init__(self, *, period: int, ratio: float = 2.0, least: float = 0.02) -> None:
        self.period = period
        self.ratio = ratio
        self.least = least
        self._seen: list[Mapping[str, float]] = []
        self._told: set[int] = set()

    def look(self, iteration: int, times: Mapping[str, float]) -> None:
        """
        Args:
            times: seconds of each section of a step, in this process.
        """
        if comm.get_world_size() == 1:
            return
        self._seen.append(times)
        if (iteration + 1) % self.period:
            return
        seen, self._seen = self._seen, []
        mine = {name: sum(each.get(name, 0.0) for each in seen) / len(seen) for name in OWN}
        everyone = comm.all_gather(mine)
        totals = [sum(each.values()) for each in everyone]
        for rank, total in enumerate(totals):
            others = median(totals[:rank] + totals[rank + 1 :])
            if rank not in self._told and total > max(self.ratio * others, others + self.least):
                self._told.add(rank)
                self._tell(iteration, rank, everyone[rank], total, others)

    def _tell(
        self, iteration: int, rank: int, times: Mapping[str, float], total: float, others: float
    ) -> None:
        parts = ", ".join(f"{name} {seconds:.3f}" for name, seconds in times.items())
        logger.warning(
            "Iteration %d: the others wait for process %d of %d, which took %.3f s a step (%s) "
            "where they took %.3f s",
            iteration,
            rank,
            comm.get_world_size(),
            total,
            parts,
            others,
        )
