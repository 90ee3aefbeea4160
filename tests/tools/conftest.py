"""Runs that were never trained: a config, and what a detector has found."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.engine.config import load_config, save_config

RECIPE = Path(__file__).resolve().parents[1] / "engine" / "small_recipe.py"


@pytest.fixture
def shapes(tmp_path: Path) -> Path:
    """A data set with four images to evaluate on."""
    root = tmp_path / "shapes"
    generate_shapes(root=root, num_train=1, num_val=4, image_size=64, seed=0)
    return root


@pytest.fixture
def make_run(shapes: Path, tmp_path: Path) -> Callable[..., Path]:
    """`make_run("name")`: the folder of a run, moved since, that found every other object."""

    def make(name: str, *options: str, every: int = 2, data: Path = shapes) -> Path:
        folder = tmp_path / name
        (folder / "inference").mkdir(parents=True)
        given = [f"data.generate.root={data}", "train.output_dir=elsewhere", *options]
        save_config(load_config(str(RECIPE), given), folder / "config.yaml")
        truth = json.loads((data / "annotations/val.json").read_text())
        keys = ("image_id", "category_id", "bbox")
        found = [{key: each[key] for key in keys} for each in truth["annotations"][::every]]
        text = json.dumps([{**each, "score": 0.75} for each in found])
        (folder / "inference/coco_instances_results.json").write_text(text)
        return folder

    return make
