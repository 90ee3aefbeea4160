"""`hdetr-d2 predict`: options on their way to the prediction, and mistakes in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from hdetr_d2.commands import predict

FINDER = """
import torch
from detectron2.structures import Boxes, Instances
from torch import nn

class Finder(nn.Linear):
    def forward(self, batch):
        boxes = Boxes(torch.tensor([[1.0, 2, 11, 12], [0, 0, 5, 5]]))
        found = Instances((20, 30), pred_boxes=boxes)
        found.scores, found.pred_classes = torch.tensor([0.3, 0.8]), torch.tensor([0, 1])
        return [{"instances": found} for _ in batch]
"""


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[list[str]], int]:
    """The command's, where a package `packagez` can be imported."""
    (tmp_path / "packagez.py").write_text(FINDER)
    monkeypatch.syspath_prepend(tmp_path)
    return predict.main


def saved(folder: Path) -> str:
    """A checkpoint whose model is a class of `packagez`."""
    config = {
        "model": {"_target_": "packagez.Finder", "in_features": 1, "out_features": 1},
        "dataloader": {"test": {"mapper": {"_target_": "hdetr_d2.data.DetrMapper"}}},
    }
    metadata = {"config": yaml.safe_dump(config), "class_names": ["cat", "dog"]}
    weights = {"weight": torch.ones(1, 1), "bias": torch.zeros(1)}
    torch.save({"model": weights, "metadata": metadata}, folder / "mine.pth")
    return str(folder / "mine.pth")


def test_a_model_of_a_trusted_package(main: Callable, tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    given = [saved(tmp_path), str(tmp_path / "a.png"), "--output", str(tmp_path / "out")]
    options = ["--score-threshold", "0.2", "--batch-size", "2", "--device", "cpu"]
    assert main([*given, *options, "--trust", "packagez"]) == 0
    content = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [found["category_name"] for found in content["annotations"]] == ["dog", "cat"]
    assert content["annotations"][1]["bbox"] == [1, 2, 10, 10]


@pytest.mark.parametrize("trust", [[], ["--trust", "other"]])
def test_a_model_of_another_package_is_one_line(
    main: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str], trust: list[str]
) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    with pytest.raises(SystemExit, match="2"):
        main([saved(tmp_path), str(tmp_path / "a.png"), "--device", "cpu", *trust])
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
    assert error.endswith("--trust packagez\n")
