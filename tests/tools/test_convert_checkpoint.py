"""`hdetr-d2 convert`, and what can then be done with the files it wrote."""

import sys
from pathlib import Path

import pytest
import torch

from hdetr_d2.commands.convert import main, parse_arguments
from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.evaluate import do_eval
from hdetr_d2.engine.resolve import resolve_config
from hdetr_d2.inference import Predictor

sys.path.insert(0, str(Path(__file__).parents[1] / "checkpoint" / "importers"))
import published

TOLD = ("--arg", "nheads=4", "--arg", "num_queries_one2one=12")


def run(file: Path, output: Path, *options: str) -> int:
    return main([str(file), "--source", "h-deformable-detr", "--output", str(output), *options])


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A checkpoint that does not state its arguments."""
    weights = published.state_dict(refine=True, two_stage=True, mixed=True, classes=3)
    torch.save({"model": weights}, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth"


def test_evaluation_and_prediction_take_what_was_written(
    theirs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, shapes = tmp_path / "ours", tmp_path / "shapes"
    assert run(theirs, ours, *TOLD) == 0
    output = capsys.readouterr().out
    assert "assumed: look_forward_twice=False" in output
    assert "left out: transformer.decoder.bbox_embed.0.layers.0.weight (the same as" in output
    generate_shapes(root=shapes, num_train=1, num_val=2, image_size=96, num_classes=3)
    overrides = {
        "train.init_checkpoint": ours / "model.pth",
        "train.output_dir": tmp_path / "run",
        "train.device": "cpu",
        "dataloader.test.num_workers": 0,
        "dataloader.test.mapper.augmentations": [],  # images keep their size
        "data.val_name": "converted_val",
        "data.val_json": shapes / "annotations" / "val.json",
        "data.val_images": shapes / "val",
    }
    texts = [f"{key}={value}" for key, value in overrides.items()]
    cfg = load_config(str(ours / "config.yaml"), texts)
    resolve_config(cfg, for_training=False)
    assert "AP" in do_eval(cfg)["bbox"]
    assert (tmp_path / "run" / "inference" / "coco_instances_results.json").is_file()
    assert Predictor(ours / "model.pth", device="cpu").class_names[0] == "class 0"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--arg", "nheads"), "error: --arg nheads: must be KEY=VALUE"),
        (("--arg", "nheads=["), "error: --arg nheads=[: the value cannot be read"),
        (("--arg", "heads=4"), "error: --arg heads: no such argument; did you mean nheads?"),
        ((*TOLD, "--classes", "coco80"), "error: --classes coco80 needs heads with the 91"),
    ],
)
def test_a_mistake_is_one_line(
    theirs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    complaint: str,
) -> None:
    assert run(theirs, tmp_path / "ours", *options) == 2
    error = capsys.readouterr().err
    assert error.startswith(complaint)
    assert error.count("\n") == 1
    assert not (tmp_path / "ours").exists()


def test_arguments_are_yaml_in_which_a_small_number_is_one() -> None:
    texts = ["lr=1e-4", "two_stage=off", "backbone=resnet50", "points=[4, 4]"]
    right = {"lr": 1e-4, "two_stage": False, "backbone": "resnet50", "points": [4, 4]}
    assert parse_arguments(texts) == right
