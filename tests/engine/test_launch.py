from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from hdetr_d2.engine.launch import TORCHRUN_VARIABLES, launch
from hdetr_d2.errors import UserError

SPAWNING = """
import sys
import hdetr_d2
import torch.distributed as dist
from detectron2.utils import comm
from hdetr_d2.engine.launch import launch
from hdetr_d2.errors import UserError

def talk(folder):
    ranks = comm.all_gather((comm.get_rank(), comm.get_local_rank(), dist.get_backend()))
    if comm.is_main_process():
        open(f"{folder}/ranks", "w").write(repr(ranks))
    if comm.get_rank() == 1:
        raise UserError("the second process has a wish")
    comm.synchronize()

if __name__ == "__main__":
    try:
        launch(talk, sys.argv[1], device="cpu", num_gpus=2)
    except UserError as error:
        print(f"told: {error}")
"""


def note(folder: Path) -> None:
    (folder / "ran").touch()


def test_one_process_runs_here(tmp_path: Path) -> None:
    launch(note, tmp_path)
    assert (tmp_path / "ran").exists()


def test_two_processes_talk_and_an_error_of_one_comes_out_in_one_line(
    run_python: Callable, tmp_path: Path
) -> None:
    (tmp_path / "spawning.py").write_text(SPAWNING)
    run = run_python(tmp_path / "spawning.py", tmp_path)
    told = [line for line in run.stdout.splitlines() if "[Gloo]" not in line]
    assert told == ["told: the second process has a wish"], run.stderr
    assert "Traceback" not in run.stderr
    assert (tmp_path / "ranks").read_text() == "[(0, 0, 'gloo'), (1, 1, 'gloo')]"


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"num_gpus": 2}, "CUDA is not available here: train.device=cpu runs 2 processes"),
        ({"num_gpus": 2, "device": "cuda"}, "train.device=cuda, but CUDA is not available here"),
        ({"num_gpus": 0}, "counts start at 1"),
        ({"num_machines": 2, "machine_rank": 2}, "ranks lie in"),
        ({"num_machines": 2}, "several machines need a place to meet: --dist-url"),
    ],
)
def test_what_cannot_be_started_is_a_sentence(
    options: dict, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=reason):
        launch(note, **options)


def test_more_processes_than_cuda_devices_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="CUDA device 1 is asked for, but there are 1"):
        launch(note, num_gpus=2)


@pytest.fixture
def second_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(TORCHRUN_VARIABLES, ("1", "2", "1", "2", "127.0.0.1", "9"), strict=True):
        monkeypatch.setenv(name, value)


def test_others_that_end_before_all_have_met(
    second_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meet(*_: object, **__: object) -> None:
        raise dist.DistNetworkError("Connection reset by peer\nat some place")

    monkeypatch.setattr(dist, "init_process_group", meet)
    told = "^process 1 of 2 has not met the others at env://: Connection reset by peer$"
    with pytest.raises(UserError, match=told):
        launch(print, device="cpu")


def test_others_that_end_before_the_first_step(
    second_of_two: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build() -> None:
        raise RuntimeError("[/third_party/gloo/transport/tcp/pair.cc:561] Connection closed")

    monkeypatch.setattr("hdetr_d2.engine.launch.Meeting.join", lambda *_: None)
    with pytest.raises(UserError, match="lost another one outside its steps: what that one said"):
        launch(build, device="cpu")
