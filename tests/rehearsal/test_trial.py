"""What a trial finds wrong."""

from pathlib import Path

import pytest
import torch

from hdetr_d2.commands import rehearse
from hdetr_d2.rehearsal import FAILURES, Trial
from hdetr_d2.rehearsal.trial import faults_of_an_end, faults_of_files, faults_of_weights

ENDED = "SIGTERM: the training ends after 4 iterations, and --resume goes on\n"
ERROR = "a line\nerror: process 0 of 2 lost another one\n"
GONE = "data/train has disappeared: waiting up to 300 s for its return\n"
TRACEBACK = "Traceback (most recent call last)\n"


@pytest.mark.parametrize(
    ("name", "statuses", "texts"),
    [
        ("sigterm", [75, 75], [ENDED, ENDED]),
        ("sigterm", [75, 75], [ENDED, ""]),
        ("sigusr1", [75, -10], [ENDED, ""]),  # the second one did not listen yet
        ("sigterm", [0, 0], ["", ""]),  # it was over
        ("killed-process", [-9, 2], ["", ERROR]),
        ("full-disk", [2, 2], ["error: cannot write\n", ERROR]),
        ("lost-data", [0, 0], [GONE, ""]),
        ("killed-loader", [0, 0], ["", ""]),
    ],
)
def test_ends_as_they_should_be(name: str, statuses: list[int], texts: list[str]) -> None:
    assert faults_of_an_end(FAILURES[name], statuses, texts) == []


@pytest.mark.parametrize(
    ("name", "statuses", "texts", "fault"),
    [
        ("sigterm", [75, None], [ENDED, ""], "process 1 did not end"),
        ("sigterm", [75, 1], [ENDED, ""], "process 1 ended with status 1"),
        ("sigterm", [75, 75], [ENDED, 2 * ENDED], "process 1 ended with status 75 and 2 sentences"),
        ("sigterm", [75, 75], ["", ""], "it ended with status 75, and no process said so"),
        ("nan", [2, 2], [ERROR, "no error: "], "process 1 ended with status 2 and 0 sentences"),
        ("nan", [2, 2], [ERROR + TRACEBACK, ERROR], "process 0 left a traceback (status 2)"),
        ("slow", [0, 2], ["", ERROR], "process 1 ended with status 2"),
        ("lost-data", [0, 0], [GONE, GONE], "'for its return' was said 2 times"),
    ],
)
def test_faulty_ends(name: str, statuses: list[int | None], texts: list[str], fault: str) -> None:
    assert faults_of_an_end(FAILURES[name], statuses, texts) == [fault]


def test_files_that_are_broken_or_missing(tmp_path: Path) -> None:
    whole = {"model": {"weight": torch.ones(3)}}
    torch.save(whole, tmp_path / "model_0000004.pth")
    (tmp_path / "last_checkpoint").write_text("model_0000004.pth")
    assert faults_of_files(tmp_path) == []
    data = (tmp_path / "model_0000004.pth").read_bytes()
    (tmp_path / "model_0000008.pth").write_bytes(data[:-50])
    (tmp_path / "last_checkpoint").write_text("model_0000012.pth")
    broken, missing = faults_of_files(tmp_path)
    assert "model_0000008.pth" in broken
    assert missing == "last_checkpoint names model_0000012.pth, which is not there"


def test_weights_are_compared_to_the_bit(tmp_path: Path) -> None:
    runs = [tmp_path / name for name in ("one", "other")]
    for run in runs:
        run.mkdir()
    assert faults_of_weights(*runs) == ["there is no model_final.pth"]
    weight = torch.ones(3)
    for run, value in zip(runs, (weight, weight.clone()), strict=True):
        state = {"state": {0: {"exp_avg": value.clone()}}, "param_groups": []}
        torch.save({"model": {"weight": weight}, "optimizer": state}, run / "model_final.pth")
    assert faults_of_weights(*runs) == []
    content = torch.load(runs[0] / "model_final.pth")
    content["optimizer"]["state"][0]["exp_avg"][1] += 1e-7
    torch.save(content, runs[0] / "model_final.pth")
    (fault,) = faults_of_weights(*runs)
    assert fault == "1 tensors of model_final.pth differ, the first /optimizer/state/0/exp_avg"
    torch.save({"model": {"weight": weight}}, runs[0] / "model_final.pth")
    assert "other tensors" in faults_of_weights(*runs)[0]


def test_a_line_a_failure() -> None:
    good, bad = Trial(1.0, 2.5, True, ()), Trial(1.0, 30.0, False, ("it did not end",))
    lines = rehearse.table({"slow": [good, bad]}).splitlines()
    assert [cell.strip() for cell in lines[-1].split("|")[2:-1]] == ["2", "1", "1", "30.0"]


@pytest.mark.slow
def test_a_signal_and_a_killed_loader(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [str(tmp_path / "out"), "--steps", "24", "--only", "sigusr1", "killed-loader"]
    status = rehearse.main(words)
    printed = capsys.readouterr()
    assert status == 0, printed.err
    assert len(printed.out.splitlines()) == 4
    for name in ("sigusr1", "killed-loader"):
        assert f"{name} 1/1 (seed 0): nothing was lost" in printed.err
