"""Parses logs: results of tests, goals of benchmarks, errors found by a sanitizer."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PASSED, FAILED, OUT_OF_TIME, LEFT_OUT = "passed", "FAILED", "ran out of time", "left out"
# Tests that check whether the host waits for the device.
WAITING = re.compile(r"test_no_host_sync|the_host_never_waits|the_host_does_not_wait")


@dataclass(frozen=True)
class Goal:
    """A required figure. met: None if it was not measured."""

    name: str
    required: str
    measured: str
    met: bool | None


@dataclass(frozen=True)
class Verdict:
    """The result of a part. what: in one line. failures: one line each."""

    state: str
    what: str
    goals: list[Goal] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcomes:
    """Results of tests. last: by name, the outcome and its reason. selected: number of tests."""

    last: Mapping[str, tuple[str, str]]
    selected: int

    @classmethod
    def read(cls, tally: Path) -> "Outcomes":
        """Reads the lines written by `gpu_pytest`. A failure remains one."""
        last, selected = dict[str, tuple[str, str]](), 0
        lines = tally.read_text(encoding="utf-8").splitlines() if tally.exists() else []
        for fact in map(json.loads, lines):
            if "selected" in fact:
                selected = fact["selected"]
            elif last.get(fact["test"], ("",))[0] != "failed":
                last[fact["test"]] = fact["outcome"], fact.get("why", "")
        return cls(last, selected)

    def count(self, outcome: str) -> int:
        return Counter(found for found, _ in self.last.values())[outcome]

    def summary(self) -> str:
        """Such as "12 passed, 1 skipped (needs 2 CUDA devices)"."""
        parts = [f"{self.count('passed')} passed"]
        parts += [
            f"{self.count(name)} {name}" for name in ("failed", "unfinished") if self.count(name)
        ]
        if skipped := self.count("skipped"):
            reasons = sorted({why for outcome, why in self.last.values() if outcome == "skipped"})
            parts.append(f"{skipped} skipped ({'; '.join(reasons)})")
        return ", ".join(parts)

    def failures(self) -> list[str]:
        wrong = ("failed", "unfinished")
        return [
            f"{name}: {why or outcome}"
            for name, (outcome, why) in self.last.items()
            if outcome in wrong
        ]

    def waiting(self) -> list[Goal]:
        """The goal that the host never waits, if some of these tests check it."""
        about = [outcome for name, (outcome, _) in self.last.items() if WAITING.search(name)]
        if not about:
            return []
        passed = about.count("passed")
        measured = f"{passed} of {len(about)} tests"
        return [Goal("the host never waits", "all tests", measured, passed == len(about))]


def goals_of(text: str) -> Iterator[Goal]:
    """From the rows of a benchmark's tables with something under "required"."""
    for row in rows_of(text):
        if asked := row.get("required"):
            yield Goal(name_of(row), asked, *judged(asked, row))


def rows_of(text: str) -> Iterator[dict[str, str]]:
    """Of all tables in Markdown, by their headers."""
    header: list[str] = []
    for line in text.splitlines():
        if not line.startswith("|"):
            header = []
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not header:
            header = cells
        elif not set("".join(cells)) <= set(":-"):
            yield dict(zip(header, cells, strict=True))


def name_of(row: Mapping[str, str]) -> str:
    """The cells before the figures."""
    columns = list(row)
    first = next(i for i, name in enumerate(columns) if name.endswith("ms"))
    return ", ".join(row[name] for name in columns[:first])


def judged(asked: str, row: Mapping[str, str]) -> tuple[str, bool]:
    """The figure that a requirement is about, and whether it is met: "at least 2", "at most 1.07"
    refer to the ratio, "ours at most 0.15 ms" to our time.
    """
    found = re.fullmatch(r"(ours )?at (least|most) ([\d.]+)( ms)?", asked)
    if found is None:
        raise ValueError(f"{asked!r} is no requirement that is understood.")
    column = next(name for name in row if name.startswith("ours, ms" if found[1] else "ratio"))
    figure, bound = float(row[column]), float(found[3])
    met = figure >= bound if found[2] == "least" else figure <= bound
    return f"{row[column]}{found[4] or ''}", met


def sanitizer_errors(text: str) -> int | None:
    """The number of errors or hazards found by compute-sanitizer; None if it did not finish."""
    found = re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (\d+) ", text)
    return sum(map(int, found)) if found else None
