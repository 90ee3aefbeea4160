"""The branch in whole trainings: in two processes, and in one that goes on after a kill."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
import torch
from PIL import Image
from torch import Tensor

from hdetr_d2.projects.route_detr import CosineWarmup

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
RECIPE = str(HERE / "configs" / "small_recipe.py")
STEP = str(ROOT / "tests" / "engine" / "two_processes.py")
ITERATIONS = 8


def training(output: Path, *flags: str) -> list[str]:
    """The command of a training of the small recipe on the shapes that lie beside its output."""
    options = [f"data.generate.root={output.parent}/data", f"train.output_dir={output}"]
    options += [f"train.max_iter={ITERATIONS}", "train.log_period=1"]
    options += ["train.checkpoint.period_epochs=0.25", f"train.checkpoint.keep={ITERATIONS}"]
    return [str(ROOT / "train_net.py"), "--config-file", RECIPE, *flags, *options]


def logged(output: Path, name: str) -> list[float]:
    lines = map(json.loads, (output / "metrics.json").read_text().splitlines())
    return [line[name] for line in lines if name in line]


def router_weights(output: Path, iteration: int) -> dict[str, Tensor]:
    state = torch.load(output / f"model_{iteration:07d}.pth")["model"]
    return {name: value for name, value in state.items() if ".routers." in name}


def expected_strengths(start: int = 0) -> list[float]:
    """As metrics.json has them, medians since the start: of two epochs, in the second and third
    quarter of which it rises.
    """
    rise = CosineWarmup(first=0.0, last=0.3, after=0.5, over=1, epochs=2)
    strengths = [rise(iteration / ITERATIONS) for iteration in range(start, ITERATIONS)]
    return [median(strengths[: count + 1]) for count in range(len(strengths))]


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory) -> Path:
    """The output of a training in two processes, which are started as a user does."""
    output = tmp_path_factory.mktemp("two") / "out"
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    # The package need not be installed: the clone is enough.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *torchrun, *training(output)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return output


def test_in_two_processes_the_schedule_is_followed_and_routers_learn(two_processes):
    assert logged(two_processes, "routing/strength") == pytest.approx(expected_strengths())
    first, last = router_weights(two_processes, 1), router_weights(two_processes, ITERATIONS - 1)
    learned = [name for name in first if not torch.equal(first[name], last[name])]
    assert learned == list(first)
    assert max(logged(two_processes, "routing/suppressed_1")) > 0


def test_what_goes_on_after_a_kill_is_the_same(run_python, tmp_path):
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    done = run_python(*training(whole))
    assert done.returncode == 0, done.stderr
    shutil.copytree(whole, resumed)
    (resumed / "last_checkpoint").write_text("model_0000004.pth")
    (resumed / "metrics.json").unlink()
    done = run_python(*training(resumed, "--resume"))
    assert done.returncode == 0, done.stderr
    assert logged(resumed, "routing/strength") == pytest.approx(expected_strengths(4))
    one, other = (router_weights(folder, ITERATIONS - 1) for folder in (whole, resumed))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_the_best_weights_have_no_router(two_processes):
    best = torch.load(two_processes / "model_best.pth")["model"]
    assert not [name for name in best if name.startswith("schemes.")]


def test_two_processes_of_which_one_sees_empty_images_are_the_whole_batch(
    run_python, run_twice, tmp_path
):
    recipe = str(HERE / "configs" / "full_strength_recipe.py")
    done = run_python(STEP, tmp_path / "one.pth", recipe)
    assert done.returncode == 0, done.stderr
    run_twice(STEP, tmp_path / "two.pth", recipe)
    expected, got = (torch.load(tmp_path / name) for name in ("one.pth", "two.pth"))
    assert any(".routers." in name for name in expected)
    for name, gradient in expected.items():
        distance = (got[name] - gradient).norm()
        assert distance <= 1e-5 * gradient.norm() + 1e-9, f"{name}: {distance}"


def drawing(checkpoint: Path, output: Path) -> list[str]:
    image = next((checkpoint.parents[1] / "data").rglob("*.png"))
    command = [str(ROOT / "tools" / "visualize_routing.py"), str(checkpoint), str(image)]
    return [*command, "--output", str(output), "--queries", "8"]


def test_a_trained_model_is_drawn_and_one_without_routers_is_told(
    run_python, two_processes, tmp_path
):
    done = run_python(*drawing(two_processes / "model_final.pth", tmp_path / "routing.png"))
    assert done.returncode == 0, done.stderr
    assert Image.open(tmp_path / "routing.png").format == "PNG"
    done = run_python(*drawing(two_processes / "model_best.pth", tmp_path / "none.png"))
    assert done.returncode == 2
    assert "schemes.0.routers" in done.stderr and done.stderr.count("Traceback") == 0
