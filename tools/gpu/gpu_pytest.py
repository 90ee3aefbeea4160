"""A pytest plugin for machines with a GPU.

The result of every test is immediately written as a line of the file `--tally`, so that an
interrupted run is known up to that point. A CUDA test that is skipped although the machine has what
its marks require counts as failed: the kernel that it misses should have been built.
"""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import torch


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--tally", type=Path, required=True, help="a line of JSON for each outcome")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the workers of xdist report to their controller
        config.pluginmanager.register(Tally(config.getoption("--tally")))


class Tally:
    def __init__(self, path: Path) -> None:
        self.path = path

    def note(self, **fact: Any) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            print(json.dumps(fact), file=file)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.note(selected=len(session.items))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.note(test=nodeid, outcome="unfinished")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or not report.passed:
            self.note(test=report.nodeid, outcome=report.outcome, why=reason(report))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:  # including a file that is skipped as a whole
            self.note(test=report.nodeid, outcome="failed", why=reason(report))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and needs_cuda(item) and not lacks_something(report):
        report.outcome = "failed"
        report.longrepr = f"skipped on a machine that has what it needs: {reason(report)}"
    return report


def needs_cuda(item: pytest.Item) -> bool:
    return item.get_closest_marker("needs_cuda") is not None


def lacks_something(report: pytest.TestReport) -> bool:
    """Whether conftest.py found that the machine lacks, for example, a second device, but not a
    first one.
    """
    return torch.cuda.is_available() and "lacks" in dict(report.user_properties)


def reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Why it was skipped or what was raised, in one line."""
    if report.passed:
        return ""
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash else report.longreprtext.strip()
    return (text.splitlines() or ["without a word"])[0 if crash else -1]
