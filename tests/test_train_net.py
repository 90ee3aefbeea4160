"""The script itself, as it is called."""

from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RECIPE = ROOT / "tests/engine/small_recipe.py"


def test_a_mistake_is_one_line_and_status_2(run_python: Callable, tmp_path: Path) -> None:
    # From another folder: the script's own one comes first on the path.
    command = [ROOT / "train_net.py", "--config-file", RECIPE, "train.epoch=3"]
    run = run_python(*command, folder=tmp_path)
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1].startswith("error: unknown option train.epoch: did you mean")
    assert "Traceback" not in run.stderr
