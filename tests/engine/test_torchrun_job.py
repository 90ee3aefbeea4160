"""A training as a job of submitit, with a program in the place of the training."""

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from hdetr_d2.commands import submit
from hdetr_d2.engine.torchrun_job import TorchrunJob
from hdetr_d2.errors import UserError

submitit = pytest.importorskip("submitit")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals between processes")

# It does what a training does: the first time it works until it is asked to end.
PROGRAM = """
import os, signal, sys, time
from pathlib import Path

folder, rank = Path(sys.argv[1]), os.environ["RANK"]
ignored = signal.getsignal(signal.SIGUSR2) == signal.SIG_IGN
(folder / f"world_{rank}").write_text(f"{os.environ['WORLD_SIZE']} {ignored}")

def save(number, frame):
    (folder / f"saved_{rank}").touch()
    sys.exit(75)

if (folder / f"saved_{rank}").exists():
    (folder / f"done_{rank}").touch()
    sys.exit(0)
signal.signal(signal.SIGTERM, save)
(folder / f"works_{rank}").touch()
time.sleep(600)
"""


def executable(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/bash\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What stands in for Slurm: it keeps what it is given."""
    programs = tmp_path / "programs"
    programs.mkdir()
    executable(programs / "sbatch", f"cp $1 {tmp_path}/submitted; echo Submitted batch job 12")
    executable(programs / "srun", "exit 1")
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "submitted"


def test_what_slurm_is_given(
    cluster: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(tmp_path / "jobs"), "--nodes", "2", "--gpus-per-node", "8", "--hours", "1.5"]
    words += ["--cpus-per-node", "64", "--slurm", "partition=gpu", "qos=high"]
    training = ["--config-file", "CONFIG", "train.output_dir=output/mine"]
    assert submit.main([*words, "--", *training]) == 0
    lines = cluster.read_text().splitlines()
    asked = {
        "--nodes=2",
        "--ntasks-per-node=1",
        "--gpus-per-node=8",
        "--cpus-per-task=64",
        "--time=90",
        "--signal=USR2@120",
        "--requeue",
        "--open-mode=append",
        "--partition=gpu",
        "--qos=high",
        "--job-name=hdetr_d2",
    }
    assert asked <= {line.removeprefix("#SBATCH ") for line in lines}
    (step,) = (line for line in lines if line.startswith("srun"))
    assert "--cpus-per-task=64" in step and "-m submitit.core._submit" in step
    log = tmp_path / "jobs" / "12" / "12_0_log.out"
    assert capsys.readouterr().out == f"job 12: its log will be {log}\n"
    kept = submitit.core.utils.DelayedSubmission.load(log.with_name("12_submitted.pkl"))
    assert kept.function == TorchrunJob(["--resume", *training], processes=8, restarts=3)


def test_the_nodes_meet_at_the_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"SUBMITIT_EXECUTOR": "slurm", "SLURM_JOB_ID": "1234567", "SLURM_JOB_NUM_NODES": "2"}
    given |= {"SLURM_JOB_NODELIST": "node[07-08]"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    words = TorchrunJob(["--resume"], processes=8).command()
    assert words[words.index("--rdzv-endpoint") + 1] == "node07:24567"
    assert words[words.index("--nnodes") + 1] == "2"
    assert words[words.index("--nproc-per-node") + 1] == "8"
    assert words[-4:] == ["-m", "hdetr_d2", "train", "--resume"]


def test_what_cannot_be_queued_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        submit.main([str(tmp_path / "jobs"), "--", "--config-file", "CONFIG"])
    assert end.value.code == 2
    assert 'nothing is queued: Could not detect "srun"' in capsys.readouterr().err
    with pytest.raises(UserError, match="--slurm partition: an option of sbatch and its value"):
        submit._pair("partition")


@pytest.mark.slow
def test_it_is_saved_queued_again_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    program = [str(tmp_path / "program.py")]
    executor = submitit.AutoExecutor(tmp_path / "jobs", cluster="local")
    executor.update_parameters(timeout_min=30)
    job = executor.submit(TorchrunJob([str(tmp_path)], processes=2, program=program))
    assert all(appears(tmp_path / f"works_{rank}") for rank in range(2)), job.stderr()
    children = ["ps", "-o", "pid=", "--ppid", str(job._process.pid)]
    (task,) = subprocess.run(children, capture_output=True, text=True).stdout.split()
    os.kill(int(task), signal.SIGUSR2)
    assert job.result() is None
    assert all((tmp_path / f"done_{rank}").exists() for rank in range(2)), job.stderr()
    assert (tmp_path / "world_1").read_text() == "2 True"


def appears(path: Path) -> bool:
    for _ in range(3000):
        if path.exists():
            return True
        time.sleep(0.1)
    return False
