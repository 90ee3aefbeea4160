"""The operators, and their tests, where nothing is installed that Detectron2 needs: on a machine
that is lent for its GPU."""

from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import sys

absent = ["fvcore", "hydra", "iopath", "omegaconf", "pycocotools"]
sys.modules.update(dict.fromkeys(absent))  # an import of them fails
import pytest

sys.exit(pytest.main(["tests/ops", "-k", "test_empty", "-p", "no:cacheprovider"]))
"""


def test_nothing_is_needed_that_detectron2_needs(run_python: Callable) -> None:
    env = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # hydra has a plugin
    done = run_python("-c", SCRIPT, folder=ROOT, environment=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
