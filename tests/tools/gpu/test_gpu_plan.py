"""Which parts there are, and the rehearsal of all of them."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import gpu_check
import gpu_stages
import pytest
import torch
from gpu_parts import ROOT, Part, Run, environment
from gpu_plan import Request, files_with, sanitizers, whole_run


def request_to(folder: Path, **changes: object) -> Request:
    given = dict(capability="9.0", built=False, original=None, page=folder / "page.md")
    return Request(**given | {"output": folder} | changes)  # type: ignore[arg-type]


def test_the_parts_of_a_run(tmp_path: Path) -> None:
    first, tests, *benchmarks = whole_run(request_to(tmp_path, original=Path("x")))
    assert [each.name for each in first] == [
        "build of the kernels",
        "build of the original kernels",
    ]
    assert first[0].environment == {"FORCE_CUDA": "1", "TORCH_CUDA_ARCH_LIST": "9.0"}
    named = [word for each in tests for word in each.command if word.endswith(".py")]
    assert sorted(named) == files_with("needs_cuda")
    assert all(len(stage) == 1 for stage in benchmarks)
    for (each,) in benchmarks:
        assert (ROOT / each.command[0]).is_file()
        assert each.environment["PYTHONPATH"] == str(tmp_path / "original")
    assert not whole_run(request_to(tmp_path, built=True))[0]


def test_every_sanitizer_goes_over_the_same_calls(tmp_path: Path) -> None:
    _, tools = sanitizers(request_to(tmp_path))
    assert [each.name for each in tools] == ["memcheck", "racecheck", "initcheck", "synccheck"]
    words = tools[1].words("python", tmp_path / "x.log")
    assert words[1:3] == ["--tool", "racecheck"]
    assert words[-1] == "tests/ops/test_every_op_on_cuda.py"


def test_without_a_gpu_only_a_rehearsal_can_be_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu_check.main([])
    assert "PyTorch sees no CUDA device here" in capsys.readouterr().err


def test_a_run_leaves_the_table_and_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(gpu_check, "whole_run", lambda request: [[Part("x", ["-c", ""], 9, 0)]])
    assert gpu_check.main(["--output", str(tmp_path)]) == 0
    assert (tmp_path / "summary.md").read_text() == capsys.readouterr().out
    assert (tmp_path / "RESULTS.md").read_text() == (ROOT / "benchmarks/RESULTS.md").read_text()


@pytest.fixture
def warm_processes(run_python: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts run one after the other, where PyTorch and the like need not be imported again."""

    def run(parts: Sequence[Part], output: Path, deadline: float) -> Iterator[tuple[Part, Run]]:
        for number, part in enumerate(parts):
            log, begun = output / f"{part.name} {number}.log", time.monotonic()
            words = part.words("python", log)
            done = run_python(*words[1:], folder=ROOT, environment=environment(part))
            log.write_text(done.stdout + done.stderr, encoding="utf-8")
            yield part, Run(done.returncode, time.monotonic() - begun, log)

    monkeypatch.setattr(gpu_stages, "run_together", run)


@pytest.mark.slow
def test_all_of_it_is_rehearsed_and_fits_into_nine_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, warm_processes: None
) -> None:
    # The emulation is a part of this suite by itself.
    monkeypatch.setattr(gpu_check, "emulated", lambda: Part("nothing", ["-c", ""], 9, 0))
    status = gpu_check.main(["--dry", "--output", str(tmp_path)])
    assert status == 0, (tmp_path / "summary.md").read_text()
