"""What is run on a machine with a GPU: builds, tests, benchmarks, each with a time limit."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from gpu_results import (
    FAILED,
    OUT_OF_TIME,
    PASSED,
    Goal,
    Outcomes,
    Verdict,
    goals_of,
    sanitizer_errors,
)

TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parents[1]


@dataclass(frozen=True)
class Run:
    """A finished command. status: None if it ran out of time. log: its output."""

    status: int | None
    seconds: float
    log: Path

    @property
    def tally(self) -> Path:
        return self.log.with_suffix(".tally")

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")

    def last_line(self) -> str:
        lines = [line.strip() for line in self.text().splitlines() if line.strip()]
        return lines[-1] if lines else "it said nothing"


@dataclass(frozen=True)
class Part:
    """A command, given by its words after `python`.

    limit, expected: maximum and expected seconds. prefix: words before `python`. needed: what
    follows makes no sense without it.
    """

    name: str
    command: Sequence[str]
    limit: float
    expected: float
    environment: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    needed: bool = False

    def words(self, python: str, log: Path) -> list[str]:
        return [*self.prefix, python, *self.command]

    def verdict(self, run: Run) -> Verdict:
        return Verdict(state_of(run, run.status == 0), run.last_line())

    def rehearsed(self) -> "Part | None":
        """What can be tried without a GPU."""
        return None

    def estimate(self, run: Run | None) -> float:
        """The expected seconds, if the rehearsal provides an estimate."""
        return self.expected


def state_of(run: Run, passed: bool) -> str:
    if run.status is None:
        return OUT_OF_TIME
    return PASSED if passed else FAILED


@dataclass(frozen=True)
class Suite(Part):
    """Arguments of pytest.

    each: seconds per test. workers: of pytest-xdist, if installed.
    """

    each: float = 0.2
    workers: int = 1

    def words(self, python: str, log: Path) -> list[str]:
        options = ["-q", "--tb=short", "-p", "no:cacheprovider", "-p", "gpu_pytest"]
        options.append(f"--tally={log.with_suffix('.tally')}")
        return [*self.prefix, python, "-m", "pytest", *options, *self.command]

    def verdict(self, run: Run) -> Verdict:
        found = Outcomes.read(run.tally)
        passed = run.status == 0 and found.count("passed") > 0
        what = found.summary() if found.last else run.last_line()
        return Verdict(state_of(run, passed), what, found.waiting(), found.failures())

    def rehearsed(self) -> "Collected":
        everything = {each.name: getattr(self, each.name) for each in fields(Suite)}
        return Collected(
            **everything | {"command": [*self.command, "--collect-only"], "prefix": ()}
        )

    def estimate(self, run: Run | None) -> float:
        tests = Outcomes.read(run.tally).selected if run else 0
        return self.expected + tests * self.each / self.workers


@dataclass(frozen=True)
class Collected(Suite):
    """Tests that are collected but not run."""

    def verdict(self, run: Run) -> Verdict:
        found = Outcomes.read(run.tally)
        passed = run.status == 0 and found.selected > 0
        return Verdict(state_of(run, passed), f"{found.selected} tests", [], found.failures())


@dataclass(frozen=True)
class Sanitizer(Suite):
    """Tests under a tool of compute-sanitizer."""

    def verdict(self, run: Run) -> Verdict:
        tests, errors = super().verdict(run), sanitizer_errors(run.text())
        said = "no summary" if errors is None else f"{errors} errors"
        first = [line for line in run.text().splitlines() if re.match("=+ .*hdetr", line)][:5]
        state = tests.state if errors == 0 or run.status is None else FAILED
        return Verdict(state, f"{said}; {tests.what}", [], [*tests.failures, *first])


@dataclass(frozen=True)
class Benchmark(Part):
    """A script of benchmarks/, and its options.

    wanted: parts of the names of goals that count as missing if they are not measured.
    """

    wanted: Sequence[str] = ()

    def verdict(self, run: Run) -> Verdict:
        goals = list(goals_of(run.text()))
        for name in self.wanted:
            if not any(name in goal.name for goal in goals):
                goals.append(Goal(name, "", "not measured", None))
        measured = [goal for goal in goals if goal.met is not None]
        met = sum(bool(goal.met) for goal in measured)
        what = f"{met} of {len(measured)} goals" if run.status == 0 else run.last_line()
        return Verdict(state_of(run, run.status == 0), what, goals)

    def rehearsed(self) -> Part:
        command = ["cpu" if word == "cuda" else word for word in self.command]
        return Tried(self.name, [*command, "--smoke"], 4 * self.limit, self.expected)


@dataclass(frozen=True)
class Tried(Part):
    """A benchmark of tiny cases on the CPU."""

    def verdict(self, run: Run) -> Verdict:
        done = super().verdict(run)
        return Verdict(PASSED, "tiny cases on the CPU") if done.state == PASSED else done


def environment(part: Part, root: Path = ROOT) -> dict[str, str]:
    """The environment of its process: the clone is imported, installed or not."""
    variables = {**os.environ, "PYTHONUNBUFFERED": "1", **part.environment}
    further = [each.get("PYTHONPATH", "") for each in (part.environment, os.environ)]
    variables["PYTHONPATH"] = os.pathsep.join([str(root), str(TOOLS), *filter(None, further)])
    return variables
