"""The operators, and their tests, where nothing is installed that Detectron2 needs: on a machine
that is lent for its GPU."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys

absent = ["fvcore", "hydra", "iopath", "omegaconf", "pycocotools"]
sys.modules.update(dict.fromkeys(absent))  # an import of them fails
import pytest

sys.exit(pytest.main(["tests/ops", "-k", "test_empty", "-p", "no:cacheprovider"]))
"""


def test_nothing_is_needed_that_detectron2_needs() -> None:
    env = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # hydra has a plugin
    command = [sys.executable, "-c", SCRIPT]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
