"""The script itself, as it is called."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "tests/engine/small_recipe.py"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def test_a_mistake_is_one_line_and_status_2(tmp_path: Path) -> None:
    # From another folder: the script's own one comes first on the path.
    command = [sys.executable, ROOT / "train_net.py", "--config-file", RECIPE, "train.epoch=3"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=ENVIRONMENT)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith("error: unknown option train.epoch: did you mean")
    assert "Traceback" not in run.stderr
