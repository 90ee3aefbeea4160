"""What is read from logs: goals, outcomes of tests, errors of a sanitizer."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from gpu_parts import Benchmark, Part, Run, Sanitizer, Suite
from gpu_results import (
    FAILED,
    PASSED,
    Goal,
    Outcomes,
    Verdict,
    goals_of,
    judged,
    sanitizer_errors,
)
from gpu_stages import Done
from gpu_summary import is_success, summary

TABLE = """
measured: x
| case   | pass    | peer   | ours, ms   | peer, ms   | ratio   | required     | cold: ratio   |
|--------|---------|--------|------------|------------|---------|--------------|---------------|
| near   | forward | theirs | 0.100      | 0.140      | 1.40    | at least 1.5 | 9.9           |
| near   | both    | theirs | 0.100      | 0.140      | 1.40    |              | 9.9           |

| recipe   | side   | ms    | ratio to the first   | required     | cold: ratio   |
|----------|--------|-------|----------------------|--------------|---------------|
| hybrid   | ours   | 321.0 | 1.05                 | at most 1.07 | 1.9           |
"""


def test_goals_are_read_from_the_tables_of_a_benchmark() -> None:
    assert list(goals_of(TABLE)) == [
        Goal("near, forward, theirs", "at least 1.5", "1.40", False),
        Goal("hybrid, ours", "at most 1.07", "1.05", True),
    ]


@pytest.mark.parametrize(
    ("asked", "measured", "met"),
    [
        ("at least 3", "3.00", True),
        ("at least 3.01", "3.00", False),
        ("at most 2.9", "3.00", False),
        ("ours at most 0.15 ms", "0.150 ms", True),
        ("ours at most 0.1 ms", "0.150 ms", False),
    ],
)
def test_a_requirement_is_of_the_ratio_or_of_our_time(asked: str, measured: str, met: bool) -> None:
    row = {"peer": "x", "ours, ms": "0.150", "ratio": "3.00", "cold: ratio": "99"}
    assert judged(asked, row) == (measured, met)


def test_all_that_benchmarks_require_is_understood() -> None:
    import assignment
    import matching
    import ms_deform_attn

    options = SimpleNamespace(device="cuda", dtype="float32")
    asked = {*assignment.REQUIRED.values(), *matching.REQUIRED.values()}
    for peer in (ms_deform_attn.DEFORMABLE_DETR, ms_deform_attn.DETERMINISTIC, "another"):
        case = ms_deform_attn.CASES["encoder-near"]
        asked |= {
            ms_deform_attn.required(case, what, peer, options) for what in ms_deform_attn.ON_CUDA
        }
    assert {"", "at least 2", "at most 4", "ours at most 0.15 ms"} <= asked
    for each in asked - {""}:
        judged(each, {"ours, ms": "1", "ratio": "1"})
    with pytest.raises(ValueError, match="'about 3' is no requirement"):
        judged("about 3", {})


def test_what_was_wanted_and_not_measured_is_told(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text(TABLE)
    verdict = Benchmark("b", [], 1, 1, wanted=["hybrid", "far"]).verdict(Run(0, 1.0, log))
    assert (verdict.state, verdict.what) == (PASSED, "1 of 2 goals")
    assert verdict.goals[-1] == Goal("far", "", "not measured", None)


def test_outcomes_of_tests_are_kept_though_they_are_cut_short(tmp_path: Path) -> None:
    tally = tmp_path / "x.tally"
    tally.write_text(
        '{"selected": 5}\n'
        '{"test": "a", "outcome": "unfinished"}\n{"test": "a", "outcome": "passed"}\n'
        '{"test": "the_host_never_waits", "outcome": "failed", "why": "it did"}\n'
        '{"test": "the_host_never_waits", "outcome": "passed"}\n'
        '{"test": "b", "outcome": "skipped", "why": "needs 2 CUDA devices"}\n'
        '{"test": "c", "outcome": "unfinished"}\n'
    )
    found = Outcomes.read(tally)
    assert found.selected == 5
    assert found.summary() == ("1 passed, 1 failed, 1 unfinished, 1 skipped (needs 2 CUDA devices)")
    assert found.failures() == ["the_host_never_waits: it did", "c: unfinished"]
    assert found.waiting() == [Goal("the host never waits", "all tests", "0 of 1 tests", False)]
    assert Outcomes.read(tmp_path / "missing").last == {}


def test_no_test_at_all_is_no_success(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("no tests ran\n")
    assert Suite("t", [], 1, 1).verdict(Run(0, 1.0, log)).state == FAILED


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("========= ERROR SUMMARY: 0 errors\n", 0),
        ("========= ERROR SUMMARY: 3 errors\n", 3),
        ("========= RACECHECK SUMMARY: 1 hazard displayed (1 error, 0 warnings)\n", 1),
        (
            "========= Error: Target application terminated before first instrumented API call\n",
            None,
        ),
    ],
)
def test_errors_that_a_sanitizer_counts(tmp_path: Path, text: str, errors: int | None) -> None:
    assert sanitizer_errors(text) == errors
    log = tmp_path / "x.log"
    log.write_text(text + "=========     at hdetr::cuda::solve_problems+0x10\n")
    log.with_suffix(".tally").write_text('{"test": "a", "outcome": "passed"}\n')
    verdict = Sanitizer("memcheck", [], 1, 1).verdict(Run(0, 1.0, log))
    assert verdict.state == (PASSED if errors == 0 else FAILED)
    assert verdict.failures == ["=========     at hdetr::cuda::solve_problems+0x10"]


def test_the_tables() -> None:
    goal = Goal("forward", "at least 1.5", "1.4", False)
    done = [Done(Part("tests", [], 1, 1), Verdict(FAILED, "1 failed", [goal], ["a: wrong"]), 3.2)]
    assert summary(done) == (
        "| part  | result | seconds | what     |\n"
        "| ----- | ------ | ------- | -------- |\n"
        "| tests | FAILED | 3       | 1 failed |\n\n"
        "| part  | goal    | required     | measured | met |\n"
        "| ----- | ------- | ------------ | -------- | --- |\n"
        "| tests | forward | at least 1.5 | 1.4      | NO  |\n\n"
        "- tests: a: wrong"
    )
    many = Verdict(FAILED, "", [], [f"test {number}" for number in range(25)])
    lines = summary([Done(done[0].part, many, 1.0)]).splitlines()
    assert lines[-2:] == ["- tests: test 19", "- tests: 5 more"]
    missed = [Done(done[0].part, Verdict(PASSED, "", [goal]), 1.0)]
    assert not is_success(missed)
    assert is_success([Done(done[0].part, Verdict(PASSED, ""), 1.0)])
