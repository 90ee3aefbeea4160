"""The script itself, as it is called."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "tests/engine/small_recipe.py"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def command(*arguments: str) -> list[str]:
    # From the clone, wherever one stands: the script's own folder comes first on the path.
    return [sys.executable, str(ROOT / "train_net.py"), *arguments]


def test_a_mistake_is_one_line_and_status_2(tmp_path: Path) -> None:
    arguments = command("--config-file", str(RECIPE), "train.epoch=3")
    run = subprocess.run(arguments, capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith("error: unknown option train.epoch: did you mean")
    assert "Traceback" not in run.stderr


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_killed_training_goes_on(tmp_path: Path) -> None:
    overrides = [
        f"train.output_dir={tmp_path}/out",
        f"data.generate.root={tmp_path}/data",
        "train.checkpoint.period_epochs=0.25",  # after every iteration
        "train.checkpoint.keep=2",
    ]
    long = command("--config-file", str(RECIPE), *overrides, "train.max_iter=100000")
    process = subprocess.Popen(
        long, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True
    )
    last = tmp_path / "out" / "last_checkpoint"
    while process.poll() is None and not (last.exists() and last.read_text() > "model_0000003"):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, process.stderr and process.stderr.read()
    done = int(last.read_text()[6:13])
    short = command(
        "--config-file", str(RECIPE), "--resume", *overrides, f"train.max_iter={done + 1}"
    )
    subprocess.run(short, check=True, capture_output=True, env=ENVIRONMENT)
    log = (tmp_path / "out" / "log.txt").read_text()
    assert f"Resumed at iteration {done} from" in log
    assert f"another train.max_iter: 100000 -> {done + 1}" in log
    assert last.read_text() == "model_final.pth"
