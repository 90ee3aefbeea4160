"""The plugin: every outcome is told at once, and a CUDA test that evades has failed."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import gpu_pytest
import pytest
import torch
from gpu_results import Outcomes

TOOLS = Path(__file__).resolve().parents[3] / "tools" / "gpu"
CASES = """
import pytest
pytestmark = pytest.mark.needs_cuda
def test_runs(): pass
def test_misses_a_kernel(): pytest.skip("The CUDA kernels are not built.")
def test_is_wrong(): assert 1 == 2, "one"
"""


def test_a_cuda_test_that_evades_has_failed(run_python: Callable, tmp_path: Path) -> None:
    cases = tmp_path / "test_cases.py"
    cases.write_text(CASES)
    tally, options = tmp_path / "x.tally", ["-q", "-p", "gpu_pytest", "-p", "no:cacheprovider"]
    command = ["-m", "pytest", *options, f"--tally={tally}", cases]
    run = run_python(*command, folder=TOOLS)
    assert run.returncode == 1, run.stderr
    found = Outcomes.read(tally)
    assert (found.selected, found.count("passed"), found.count("failed")) == (3, 1, 2)
    evaded, wrong = found.failures()
    assert evaded.endswith("that has what it needs: The CUDA kernels are not built.")
    assert "AssertionError: one" in wrong


@pytest.mark.parametrize(
    ("available", "properties", "outcome"),
    [
        (True, [("lacks", "2 CUDA devices")], "skipped"),
        (True, [], "failed"),
        (False, [("lacks", "a CUDA device")], "failed"),
    ],
)
def test_only_what_a_gpu_machine_lacks_excuses(
    monkeypatch: pytest.MonkeyPatch, available: bool, properties: list, outcome: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    marked = SimpleNamespace(get_closest_marker=lambda name: name)
    report = pytest.TestReport(
        "a",
        ("a", 0, "a"),
        {},
        "skipped",
        ("a", 0, "Skipped: why"),
        "setup",
        (),
        0,
        0,
        0,
        properties,
    )
    hook = gpu_pytest.pytest_runtest_makereport(marked)  # type: ignore[arg-type]
    next(hook)
    with pytest.raises(StopIteration) as end:
        hook.send(report)
    assert end.value.value.outcome == outcome
