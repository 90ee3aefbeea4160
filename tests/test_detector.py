"""The one object: what it says is what it does."""

import hdetr_d2

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from omegaconf import DictConfig

from hdetr_d2.commands import export as export_command
from hdetr_d2.commands import predict as predict_command
from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.engine import main as training
from hdetr_d2.engine.config import config_text, load_config
from hdetr_d2.errors import UserError
from hdetr_d2.utils.override_text import quoted

RECIPE = str(Path(__file__).parent / "engine" / "small_recipe.py")
OPTIONS = ["dataloader.train.num_workers=0", "dataloader.test.num_workers=0"]
Console = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a quote, a space and a word that Hydra's grammar knows in its name."""
    root = tmp_path_factory.mktemp("data") / "it's, my {data}"
    generate_shapes(root=root, num_train=8, num_val=4, image_size=64, seed=0)
    return root


@pytest.fixture(scope="module")
def trained(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> hdetr_d2.Detector:
    detector = hdetr_d2.Detector(RECIPE, device="cpu")
    output = tmp_path_factory.mktemp("run")
    checkpoint = detector.train(folder, epochs=0.5, output=output, options=OPTIONS)
    assert checkpoint == output / "model_final.pth" == detector.checkpoint
    assert checkpoint.is_file()
    return detector


def said(console: Console) -> list[str]:
    """The arguments behind `hdetr-d2`."""
    lines = console.readouterr().out.splitlines()
    (line,) = (line for line in lines if line.startswith("Equivalent command: "))
    words = shlex.split(line.removeprefix("Equivalent command: "))
    assert words[0] == "hdetr-d2"
    return words[1:]


@pytest.fixture
def configs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The resolved configs that trainings and evaluations get, in the place of these."""
    seen: list[str] = []

    def note(cfg: DictConfig, **options: object) -> dict:
        seen.append(config_text(cfg) + str(options))
        return {"bbox": {"AP": 1.0}}

    monkeypatch.setattr(training, "do_train", note)
    monkeypatch.setattr(training, "do_eval", note)
    return seen


def test_the_command_that_is_said_trains_the_same_config(
    folder: Path, tmp_path: Path, configs: list[str], capsys: Console
) -> None:
    detector = hdetr_d2.Detector(RECIPE, device="cpu")
    schemes = ["hybrid_branch", "contrastive_denoising"]
    detector.train(
        str(folder), epochs=2.5, scheme=schemes, output=tmp_path / "a b", options=OPTIONS
    )
    command, *arguments = said(capsys)
    assert (command, training.main(arguments)) == ("train", 0)
    assert configs[0] == configs[1]
    for text in ("epochs: 2.5", "HybridBranch", "Denoising", "num_classes: 4", "device: cpu"):
        assert text in configs[0]
    assert yaml.safe_load(configs[0].partition("{'resume'")[0])["data"]["folder"] == str(folder)


def test_the_words_of_the_command_are_overrides(capsys: Console) -> None:
    given = ["--config-file", RECIPE, "--print-config"]
    words = ["--data", "x", "--epochs", "3", "--scheme", "group_detr"]
    node = "{_target_: hdetr_d2.schemes.GroupDETR, groups: 11}"
    assert training.main([*given, *words, "train.seed=3"]) == 0
    first = capsys.readouterr().out
    # The recipe has one milestone, in the middle of two epochs.
    overrides = ["data.folder=x", "train.epochs=3", "lr_multiplier.milestones=[1.5]"]
    overrides += [f"model.schemes=[{node}]", "train.seed=3"]
    assert training.main([*given, *overrides]) == 0
    assert yaml.safe_load(first) == yaml.safe_load(capsys.readouterr().out)
    assert training.main([*given, "--scheme", "group"]) == 2
    assert "there is no scheme 'group'; there are: one_to_one, " in capsys.readouterr().err


def test_a_checkpoint_is_evaluated_by_the_config_beside_it(
    trained: hdetr_d2.Detector, folder: Path, configs: list[str], capsys: Console
) -> None:
    again = hdetr_d2.Detector(trained.checkpoint)
    assert again.config_file == str(trained.checkpoint.parent / "config.yaml")
    assert again.evaluate(folder) == {"bbox": {"AP": 1.0}}
    command, *arguments = said(capsys)
    assert (command, training.main(arguments)) == ("train", 0)
    assert configs[0] == configs[1]
    assert load_config(again.config_file).data.folder == str(folder)


def test_from_training_to_results(
    trained: hdetr_d2.Detector, folder: Path, tmp_path: Path, capsys: Console
) -> None:
    results = trained.evaluate()
    assert set(results["bbox"]) >= {"AP", "AP50"}
    capsys.readouterr()
    image = folder / "val" / "000000.png"
    found = trained.predict(image, score_threshold=0)
    assert found == trained.predict([image], score_threshold=0)
    assert len(trained.predict(np.zeros((64, 64, 3), np.uint8), score_threshold=0)) == len(found)
    tiled = trained.predict(image, score_threshold=0, tile=32, overlap=0.5)
    assert tiled == trained.predictor.tiled(32, 0.5)(image, score_threshold=0) != found
    assert capsys.readouterr().out == ""
    written = trained.predict(image, output=tmp_path / "found", score_threshold=0)
    assert [each["bbox"] for each in written] == [each["bbox"] for each in found]
    command, *arguments = said(capsys)
    args = predict_command.build_parser().parse_args(arguments)
    assert (command, args.checkpoint, args.images) == (
        "predict", str(trained.checkpoint), [str(image)]
    )  # fmt: skip
    assert (args.output, args.score_threshold, args.device) == (str(tmp_path / "found"), 0, "cpu")
    assert args.tile is None
    trained.predict(image, output=tmp_path / "found", tile=32, overlap=0.5)
    args = predict_command.build_parser().parse_args(said(capsys)[1:])
    assert (args.tile, args.overlap) == (32, 0.5)


def test_one_door_has_all_options_of_predictions(
    trained: hdetr_d2.Detector, folder: Path, tmp_path: Path, capsys: Console
) -> None:
    image = folder / "val" / "000000.png"
    half = hdetr_d2.Detector(
        trained.checkpoint, device="cpu", precision="bfloat16", score_threshold=0
    )
    plain = half.predict(image, precision="float32")
    assert plain == trained.predict(image, score_threshold=0)
    rounded = hdetr_d2.Predictor(trained.checkpoint, device="cpu", precision="bfloat16")
    expected = rounded(image, score_threshold=0)
    assert half.predict(image) == half.predictor(image, score_threshold=0) == expected != plain
    written = half.predict(image, output=tmp_path / "found")
    assert [each["score"] for each in written] == [each["score"] for each in expected]
    capsys.readouterr()
    half.predict(image, output=tmp_path / "found", batch_size=2, tile=32)
    args = predict_command.build_parser().parse_args(said(capsys)[1:])
    told = (args.precision, args.tile, args.score_threshold, args.batch_size, args.device)
    assert told == ("bfloat16", 32, 0, 2, "cpu")
    with pytest.raises(UserError, match="precision=float8 is none of float32, bfloat16, float16"):
        half.predict(image, precision="float8")


def test_export_says_its_command(
    trained: hdetr_d2.Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Console
) -> None:
    calls: list[dict] = []
    monkeypatch.setattr("hdetr_d2.detector.export", lambda *a, **k: calls.append({"a": a, **k}))
    trained.export(tmp_path / "x.onnx", size=(64, 96), images="photos")
    command, *arguments = said(capsys)
    args = export_command.build_parser().parse_args(arguments)
    (call,) = calls
    assert command == "export"
    assert args.checkpoint == str(call["a"][0])
    assert (args.output, args.size) == (str(call["output"]), [*call["size"]])
    assert (args.images, args.format) == ([call["images"]], call["format"])


@pytest.mark.parametrize("trust", [(), "mine", ("mine", "yours.parts")])
def test_commands_trust_whom_the_object_trusts(
    trained: hdetr_d2.Detector, monkeypatch: pytest.MonkeyPatch, capsys: Console, trust: Any
) -> None:
    for name in ("export", "predict_images"):
        monkeypatch.setattr(f"hdetr_d2.detector.{name}", lambda *given, **options: None)
    detector = hdetr_d2.Detector(trained.checkpoint, trust=trust)
    named = [trust] if isinstance(trust, str) else [*trust]
    detector.export(images=["photos"])
    assert export_command.build_parser().parse_args(said(capsys)[1:]).trust == named
    detector.predict("photo.jpg", output="found")
    assert predict_command.build_parser().parse_args(said(capsys)[1:]).trust == named


def test_the_run_of_a_checkpoint_is_not_overwritten(
    trained: hdetr_d2.Detector, folder: Path, tmp_path: Path, configs: list[str], capsys: Console
) -> None:
    again = hdetr_d2.Detector(trained.checkpoint)
    own = trained.checkpoint.parent
    for given in ({}, {"output": own}, {"options": [f"train.output_dir={quoted(str(own))}"]}):
        with pytest.raises(UserError, match="the run in .* would be overwritten: give another"):
            again.train(folder, **given)
    again.train(folder, output=tmp_path)
    assert f"init_checkpoint: {trained.checkpoint}" in configs[0]
    other = hdetr_d2.Detector(trained.checkpoint)
    other.train(folder, options=[f"train.output_dir={quoted(str(tmp_path))}"])
    assert configs[1] == configs[0]
    assert hdetr_d2.Detector(trained.checkpoint).train(resume=True) == trained.checkpoint
    assert "{'resume': True}" in configs[2]


def test_a_run_that_was_moved_goes_on_where_it_is(
    trained: hdetr_d2.Detector, tmp_path: Path, configs: list[str]
) -> None:
    moved = tmp_path / "moved, {twice}"
    shutil.copytree(trained.checkpoint.parent, moved)
    detector = hdetr_d2.Detector(moved / "model_final.pth")
    assert detector.train(resume=True) == moved / "model_final.pth"
    detector.evaluate()
    for seen in configs:
        text = re.sub(r"\{'resume'.*|\{\}$", "", seen)
        assert yaml.safe_load(text)["train"]["output_dir"] == str(moved)
    assert detector.train(resume=True, output=tmp_path / "given").parent == tmp_path / "given"
    # It is another run than that in the folder that its config tells.
    with pytest.raises(UserError, match="would be overwritten"):
        hdetr_d2.Detector(moved / "model_final.pth").train(output=moved)


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("dino/none.py", "no config dino/none.py among those"),
        ("quikstart", "among those of hdetr_d2; the nearest: quickstart,"),
        ("none.pth", "none.pth does not exist"),
        ("none.onnx", "none.onnx does not exist"),
    ],
)
def test_what_is_not_there(source: str, fault: str) -> None:
    with pytest.raises(UserError, match=fault):
        hdetr_d2.Detector(source)


def test_what_is_exported_has_no_config(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    for use in (hdetr_d2.Detector.evaluate, hdetr_d2.Detector.train):
        with pytest.raises(UserError, match=r"model\.onnx is exported: only a checkpoint has"):
            use(hdetr_d2.Detector(tmp_path / "model.onnx"))


def test_the_folder_of_a_training_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model_final.pth").touch()
    fault = f"{tmp_path} is a folder of checkpoints: name one, as {tmp_path / 'model_final.pth'}"
    with pytest.raises(UserError, match=re.escape(fault)):
        hdetr_d2.Detector(tmp_path)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({"epochs": "three"}, "argument --epochs: invalid float value: 'three'"),
        ({"options": "optimizer.lr=1"}, "options='optimizer.lr=1' must be a list of"),
        ({"options": {"optimizer.lr": 1}}, r"options={'optimizer.lr': 1} must be a list of"),
    ],
)
def test_wrong_words_are_one_sentence(
    words: dict[str, Any], fault: str, folder: Path, capsys: Console
) -> None:
    with pytest.raises(UserError, match=fault):
        hdetr_d2.Detector(RECIPE).train(folder, **words)
    assert capsys.readouterr() == ("", "")


def test_other_classes_are_no_validation(
    trained: hdetr_d2.Detector, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    for path in (other / "annotations").glob("*.json"):
        content = json.loads(path.read_text())
        content["categories"].append({"id": 99, "name": "ring"})
        path.write_text(json.dumps(content))
    fault = "has 4 classes, and cannot be evaluated on data that have 5; only in the data: ring$"
    with pytest.raises(UserError, match=fault):
        trained.evaluate(other, options=OPTIONS)


def test_a_recipe_predicts_nothing() -> None:
    with pytest.raises(UserError, match="offline.py is a recipe: train it first"):
        hdetr_d2.Detector("quickstart").predict("x.jpg")
