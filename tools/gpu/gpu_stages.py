"""Runs stage after stage until the time is over."""

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gpu_parts import Part
from gpu_plan import Stage
from gpu_processes import run_together
from gpu_results import FAILED, LEFT_OUT, PASSED, Verdict

SHORTEST = 20.0  # minimum seconds left to start anything


@dataclass(frozen=True)
class Done:
    part: Part
    verdict: Verdict
    seconds: float

    @property
    def passed(self) -> bool:
        return self.verdict.state == PASSED


def run_stages(stages: Sequence[Stage], output: Path, deadline: float) -> list[Done]:
    """The results of the parts. One is left out if no time remains for it, or if another one that
    it needs has not passed.
    """
    done: list[Done] = []
    for stage in stages:
        if why := why_not(done, deadline):
            done += [Done(part, Verdict(LEFT_OUT, why), 0.0) for part in stage]
            continue
        for part, run in run_together(stage, output, deadline):
            done.append(Done(part, part.verdict(run), run.seconds))
            print(f"{done[-1].verdict.state}: {part.name}", file=sys.stderr, flush=True)
    return done


def why_not(done: Sequence[Done], deadline: float) -> str:
    missing = [each.part.name for each in done if each.part.needed and not each.passed]
    if missing:
        return f"without the {missing[0]}"
    return "no time was left" if time.monotonic() > deadline - SHORTEST else ""


def rehearse(stages: Sequence[Stage], output: Path, most: float) -> list[Done]:
    """Tries what is possible without a GPU, and estimates the seconds of each part with one; the
    total must not exceed `most`.
    """
    done, total = list[Done](), 0.0
    for stage in stages:
        tried = [rehearsal(part, output) for part in stage]
        done += tried
        total += max((each.seconds for each in tried), default=0.0)
    state = PASSED if total <= most else FAILED
    return [*done, Done(Part("all", [], 0, 0), Verdict(state, "the time that it takes"), total)]


def rehearsal(part: Part, output: Path) -> Done:
    rehearsed = part.rehearsed()
    if rehearsed is None:
        return Done(part, Verdict(PASSED, "not tried"), part.estimate(None))
    ((_, run),) = run_together([rehearsed], output, math.inf)
    return Done(part, rehearsed.verdict(run), part.estimate(run))
