"""Parts run side by side until their limits, and stage after stage until the time is over."""

import time
from pathlib import Path

from gpu_parts import Part, Suite
from gpu_processes import run_together
from gpu_results import FAILED, LEFT_OUT, OUT_OF_TIME, PASSED, Verdict
from gpu_stages import rehearse, run_stages
from gpu_summary import is_success


def part(name: str, code: str, limit: float = 20, **options: object) -> Part:
    return Part(name, ["-c", code], limit, 1, **options)  # type: ignore[arg-type]


def later(seconds: float) -> float:
    return time.monotonic() + seconds


def test_parts_run_together_and_end_at_their_limits(tmp_path: Path) -> None:
    child = tmp_path / "child"
    code = f"import subprocess, sys; subprocess.run(['sh', '-c', 'sleep 2; touch {child}'])"
    parts = [part("long", code, limit=0.5), part("fine", "print('done')"), part("bad", "1 / 0")]
    absent = Part("absent", [], 9, 1, prefix=["/no/such/program"])
    runs = {each.name: run for each, run in run_together([*parts, absent], tmp_path, later(60))}
    states = {each.name: each.verdict(runs[each.name]) for each in [*parts, absent]}
    assert states["long"].state == OUT_OF_TIME
    assert states["fine"] == Verdict(PASSED, "done")
    assert states["bad"] == Verdict(FAILED, "ZeroDivisionError: division by zero")
    assert states["absent"].what == "/no/such/program cannot be run (No such file or directory)"
    assert runs["long"].seconds < 2
    time.sleep(max(0.0, 2.2 - runs["long"].seconds))
    assert not child.exists()


def test_what_needs_a_part_that_failed_is_left_out(tmp_path: Path) -> None:
    stages = [[part("build", "1 / 0", needed=True)], [part("tests", "")]]
    build, tests = run_stages(stages, tmp_path, later(60))
    assert (build.verdict.state, tests.verdict) == (FAILED, Verdict(LEFT_OUT, "without the build"))
    assert not is_success([build])


def test_nothing_begins_at_the_end_of_the_time(tmp_path: Path) -> None:
    (done,) = run_stages([[part("tests", "")]], tmp_path, later(10))
    assert done.verdict == Verdict(LEFT_OUT, "no time was left")


def test_a_rehearsal_counts_the_tests_and_estimates_the_time(tmp_path: Path) -> None:
    file = tmp_path / "test_x.py"
    file.write_text("import pytest\n@pytest.mark.skipif(True, reason='')\ndef test_a(): pass\n")
    tests = Suite("tests", ["-m", "skipif", str(file)], 60, 15, each=10.0, workers=2)
    stages = [[Part("build", [], 100, 100)], [tests, Part("aside", [], 10, 10)]]
    build, found, aside, total = rehearse(stages, tmp_path, 119)
    assert (found.verdict, found.seconds) == (Verdict(PASSED, "1 tests"), 20)
    assert (build.seconds, aside.seconds, total.seconds) == (100, 10, 120)
    assert total.verdict.state == FAILED
