"""Whole runs whose weights are shared out: what they save is what any other run saves, and goes on
in any number of processes.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.engine.main import main
from hdetr_d2.visualization import read_metrics

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).parents[2] / "train_net.py"
CONFIG = Path(__file__).with_name("small_recipe.py")
HALF = "model_0000004.pth"
SHARDED = ["train.parallel=fsdp2", "train.fsdp2.min_parameters=0"]


def arguments(output: Path, *more: str) -> list[str]:
    given = ["--config-file", str(CONFIG), "--resume", f"train.output_dir={output}"]
    # With a small eps the least gradients would be as good as their signs.
    given += [f"data.generate.root={output.parent}/data", "train.max_iter=8", "+optimizer.eps=1e-3"]
    return [*given, *more]


def half(run: Path, output: Path) -> Path:
    """Make `output` what the run would have left if it had ended in the middle."""
    output.mkdir()
    shutil.copy(run / HALF, output / HALF)
    (output / "last_checkpoint").write_text(HALF)
    return output


def tensors(content: Any, place: str = "") -> Iterator[tuple[str, Tensor]]:
    """All of a checkpoint, with their places."""
    items = enumerate(content) if isinstance(content, list) else content.items()
    for key, value in items:
        if isinstance(value, dict | list):
            yield from tensors(value, f"{place}/{key}")
        elif isinstance(value, Tensor):
            yield f"{place}/{key}", value


def assert_same_end(one: Path, other: Path) -> None:
    wanted, got = (dict(tensors(read_checkpoint(run / "model_final.pth"))) for run in (one, other))
    assert wanted.keys() == got.keys()
    for place, value in wanted.items():
        assert torch.allclose(value.float(), got[place].float(), rtol=0, atol=1e-6), place


def test_a_run_goes_on_whole_or_in_parts(run_twice: Callable[..., None], tmp_path: Path) -> None:
    sharded, replicas = tmp_path / "sharded", tmp_path / "replicas"
    run_twice(SCRIPT, *arguments(sharded, *SHARDED))
    run_twice(SCRIPT, *arguments(replicas))
    assert_same_end(replicas, sharded)
    losses = [read_metrics(run / "metrics.json")[-1]["total_loss"] for run in (replicas, sharded)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    best = [dict(tensors(read_checkpoint(run / "model_best.pth"))) for run in (replicas, sharded)]
    assert best[0].keys() == best[1].keys()
    run_twice(SCRIPT, *arguments(half(sharded, tmp_path / "now_replicas")))
    run_twice(SCRIPT, *arguments(half(replicas, tmp_path / "now_sharded"), *SHARDED))
    assert main(arguments(half(sharded, tmp_path / "now_one"), *SHARDED)) == 0
    for name in ("now_replicas", "now_sharded", "now_one"):
        assert_same_end(sharded, tmp_path / name)
