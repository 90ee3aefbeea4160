"""tools/analyze_encoder.py: numbers and pictures of checkpoints of the generated data."""

import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image
from torch import nn

from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.engine.build import build_model
from hdetr_d2.engine.config import config_text, load_config
from hdetr_d2.schemes import Scheme

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "tests" / "engine" / "small_recipe.py"


@pytest.fixture
def script() -> ModuleType:
    return importlib.import_module("hdetr_d2.commands.analyze")


@pytest.fixture
def checkpoints(tmp_path: Path) -> list[Path]:
    """Two of one run and one of another, with random weights."""
    root = tmp_path / "shapes"
    generate_shapes(root=root, num_train=1, num_val=4, image_size=64, seed=0)
    cfg = load_config(str(RECIPE), [f"data.generate.root={root}", "data.num_classes=4"])
    texts = {"config": config_text(cfg), "class_names": ["a", "b", "c", "d"]}
    paths = []
    for run, iteration in (("one", 10), ("one", 20), ("two", 5)):
        weights = build_model(cfg, weights_follow=False).state_dict()
        metadata = {**texts, "run": run, "iteration": iteration}
        paths.append(tmp_path / run / f"model_{iteration}.pth")
        paths[-1].parent.mkdir(exist_ok=True)
        torch.save({"model": weights, "metadata": metadata}, paths[-1])
    return paths


def test_three_checkpoints(
    script: ModuleType, checkpoints: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    output = checkpoints[0].parents[1] / "analysis"
    given = [*map(str, checkpoints), "--output", str(output), "--pictures", "2", "--device", "cpu"]
    assert script.main(given) == 0
    content = json.loads((output / "analysis.json").read_text())
    names = ["one/model_10", "one/model_20", "two/model_5"]
    assert [entry["name"] for entry in content["checkpoints"]] == names
    for entry in content["checkpoints"]:
        assert 0 < entry["features"]["area"] < 1 and 0 < entry["attention"]["area"] < 1
    (change,) = content["changes"]
    assert (change["from"], change["to"]) == ("one/model_10", "one/model_20")
    assert change["queries"] > 0 and 0 < change["targets"] <= 1
    for name in ("score_maps", "iof_iob", "instability"):
        assert Image.open(output / f"{name}.png").format == "PNG"
    table = (output / "tables.md").read_text()
    assert table.strip() in capsys.readouterr().out
    assert table.count("\n") == 3 + 2 + 1 + 3


def test_other_data_names_and_no_pictures(script: ModuleType, checkpoints: list[Path]) -> None:
    root = checkpoints[0].parents[1] / "shapes"
    output = root / "analysis"
    data = ["--json", str(root / "annotations/train.json"), "--image-root", str(root / "train")]
    options = ["--names", "it", "--output", str(output), "--pictures", "0", "--all-queries"]
    assert script.main([str(checkpoints[2]), *data, *options, "--device", "cpu"]) == 0
    (entry,) = json.loads((output / "analysis.json").read_text())["checkpoints"]
    assert (entry["name"], entry["images"], entry["iteration"]) == ("it", 1, 5)
    assert sorted(path.name for path in output.iterdir()) == [
        "analysis.json",
        "iof_iob.png",
        "tables.md",
    ]


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--names", "x"], "3 checkpoints need as many different --names"),
        (["--images", "0"], "--images 0 must be at least 1"),
        (["--json", "nothing.json"], "--json and --image-root go together"),
        (["--json", "nothing.json", "--image-root", "."], "nothing.json"),
    ],
)
def test_a_mistake_is_one_sentence(
    script: ModuleType,
    checkpoints: list[Path],
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    complaint: str,
) -> None:
    with pytest.raises(SystemExit):
        script.main([*map(str, checkpoints), *options])
    assert complaint in capsys.readouterr().err.splitlines()[-1]


class Scored(Scheme):
    """A scheme with a head that has one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def detectors(self) -> dict:
        return {"scored": lambda maps: []}


def test_heads_come_with_the_weights_that_evaluation_does_without(
    script: ModuleType, tmp_path: Path, tiny_model
) -> None:
    model = tiny_model()
    model.schemes = nn.ModuleList([Scored()])
    exported = {k: v for k, v in model.state_dict().items() if not k.startswith("schemes.")}
    torch.save({"model": exported}, tmp_path / "export.pth")
    assert script.heads_in(tmp_path / "export.pth", model) == {}
    torch.save({"model": {**exported, "schemes.0.weight": torch.ones(())}}, tmp_path / "whole.pth")
    assert list(script.heads_in(tmp_path / "whole.pth", model)) == ["decoder", "scored"]
    assert model.schemes[0].weight == 1


def test_weights_alone_name_no_data(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"model": {"weight": torch.ones(1)}}, tmp_path / "bare.pth")
    with pytest.raises(SystemExit):
        script.main([str(tmp_path / "bare.pth")])
    assert "names no data: give --json" in capsys.readouterr().err
