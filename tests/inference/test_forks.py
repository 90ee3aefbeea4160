"""A predictor in processes forked after its model was loaded."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

ROOT = Path(__file__).parents[2]
SCRIPT = """
import multiprocessing
import sys

import torch

from hdetr_d2 import Predictor


def child():
    torch.randn(2_000_000).sum()  # on all threads
    sys.exit(7 if torch.get_num_threads() == 1 else 8)


torch.set_num_threads(2)
torch.randn(2_000_000).sum()
Predictor(sys.argv[1], device="cpu")
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(20)
print("hangs" if process.is_alive() else process.exitcode)
process.kill()
"""
CONFIG = {
    "model": {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3},
    "dataloader": {
        "test": {"mapper": {"_target_": "hdetr_d2.data.mapper.DetrMapper", "is_train": False}}
    },
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_fork_does_not_wait_for_threads_that_it_lacks(tmp_path: Path) -> None:
    weights = {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}
    metadata = {"config": yaml.safe_dump(CONFIG), "class_names": ["a", "b", "c"]}
    torch.save({"model": weights, "metadata": metadata}, tmp_path / "model.pth")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tmp_path / "model.pth"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["7"], done.stderr
