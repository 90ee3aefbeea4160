"""The notebook runs from top to bottom."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "docs" / "first_detector.ipynb"
LESS = {"num_train=240": "num_train=16", "num_val=40": "num_val=4", "epochs=4": "epochs=1"}
LESS |= {"score_threshold=0.4": "score_threshold=0.0"}  # it has learned little


def cells() -> list[str]:
    """The code of the notebook."""
    content = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return ["".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "code"]


@pytest.mark.slow  # it trains
def test_it_runs(tmp_path: Path) -> None:
    """In an empty folder, with fewer images and less of a training."""
    code = "\n".join(cells())
    for long, short in LESS.items():
        assert long in code
        code = code.replace(long, short)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "first.onnx").stat().st_size > 1e6
