"""A predictor becomes a folder, and the folder the same predictor."""

import hdetr_d2

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml
from omegaconf import OmegaConf

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.checkpoint.weights import without_training_only
from hdetr_d2.errors import UserError
from hdetr_d2.model_zoo.saving import SHARED

IMAGES = [np.random.default_rng(n).integers(0, 256, (48 + n, 64, 3), np.uint8) for n in range(3)]


@pytest.fixture
def saved(shared: Path, tmp_path: Path) -> Path:
    """A folder to change."""
    return Path(shutil.copytree(shared, tmp_path / "saved"))


def found(predictor: hdetr_d2.Predictor) -> list:
    results = predictor(IMAGES, score_threshold=0.0, batch_size=2)
    assert len(results) > 10
    return results


def test_tensors_and_detections_come_back_to_the_bit(
    predictor: hdetr_d2.Predictor, checkpoint: Path, saved: Path
) -> None:
    again = hdetr_d2.from_pretrained(saved, device="cpu")
    assert found(again) == found(predictor)
    assert again.class_names == predictor.class_names == ("circle", "a square", "triangle")
    average = read_checkpoint(checkpoint)["ema"]
    model = again.detector.model  # type: ignore[attr-defined]
    evaluated = without_training_only(model, model.state_dict())
    assert evaluated.keys() == read_checkpoint(saved)["model"].keys()
    for name, value in evaluated.items():
        assert value.dtype == average[f"module.{name}"].dtype
        assert torch.equal(value, average[f"module.{name}"]), name


def test_what_is_read_is_saved_the_same_again(saved: Path, tmp_path: Path) -> None:
    hdetr_d2.Predictor(saved, device="cpu").save_pretrained(tmp_path / "again" / "saved")
    for name in ("model.safetensors", "config.yaml", "class_names.json"):
        assert (tmp_path / "again/saved" / name).read_bytes() == (saved / name).read_bytes()


def test_the_config_is_that_of_the_checkpoint(checkpoint: Path, saved: Path) -> None:
    config = read_checkpoint(checkpoint)["metadata"]["config"]
    assert (saved / "config.yaml").read_text(encoding="utf-8") == config
    assert {path.name for path in saved.iterdir()} <= set(SHARED)


def test_the_card_has_the_figures_of_the_run(checkpoint: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(checkpoint, run / "model_final.pth")
    row = {"iteration": 19, "lr": 0.1, "total_loss": 1.0, "bbox/AP": 12.3, "bbox/AP-a square": 4.5}
    (run / "metrics.json").write_text(json.dumps(row))
    (run / "last_evaluation").write_text("0a1b 20")
    (run / "config.yaml").touch()
    (run / "contact_sheet.png").write_bytes(b"a picture")
    predictor = hdetr_d2.Predictor(run / "model_final.pth", device="cpu")
    predictor.save_pretrained(tmp_path / "saved")
    text = (tmp_path / "saved/README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["model-index"][0]["results"][0]["metrics"][0]["value"] == 12.3
    assert "| a square | 4.50 |" in text and 'from_pretrained("saved")' in text
    assert "](curves.png)" in text and "](examples.png)" in text
    assert (tmp_path / "saved/examples.png").read_bytes() == b"a picture"
    assert {path.name for path in (tmp_path / "saved").iterdir()} == set(SHARED)


def test_a_folder_with_something_in_it_is_left_alone(
    predictor: hdetr_d2.Predictor, tmp_path: Path
) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(UserError, match="is there already"):
        predictor.save_pretrained(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_disk_that_is_full_leaves_nothing(
    predictor: hdetr_d2.Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(weights: dict, path: Path, metadata: dict) -> None:
        path.write_bytes(b"half")
        raise safetensors.SafetensorError("No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    with pytest.raises(UserError, match=r"cannot write .*model\.safetensors: No space left"):
        predictor.save_pretrained(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


def test_an_exported_model_is_not_saved(
    predictor: hdetr_d2.Predictor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predictor, "detector", object())
    with pytest.raises(UserError, match="only the model of a checkpoint"):
        predictor.save_pretrained(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


def rewrite(folder: Path, **changes: Sequence[int] | None) -> None:
    """Other shapes for tensors, by name; None takes one away."""
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    for name, shape in changes.items():
        del weights[name]
        if shape is not None:
            weights[name] = torch.zeros(*shape)
    safetensors.torch.save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize("shape", [(1, 2, 3), None])
def test_weights_that_do_not_fit_are_named(saved: Path, shape: Sequence[int] | None) -> None:
    name = min(safetensors.torch.load_file(saved / "model.safetensors"))
    rewrite(saved, **{name: shape})
    with pytest.raises(UserError, match=rf"do not fit the model: 1 (of another|missing).*{name}"):
        hdetr_d2.from_pretrained(saved, device="cpu")


def test_weights_that_are_no_numbers_are_refused(saved: Path) -> None:
    weights = safetensors.torch.load_file(saved / "model.safetensors")
    name = next(name for name, value in weights.items() if value.is_floating_point())
    weights[name] = torch.full_like(weights[name], float("nan"))
    safetensors.torch.save_file(weights, saved / "model.safetensors")
    with pytest.raises(UserError, match=f"are not finite: {name}"):
        hdetr_d2.from_pretrained(saved, device="cpu")


def test_more_names_than_classes_are_refused(saved: Path) -> None:
    (saved / "class_names.json").write_text('["one", "two"]')
    with pytest.raises(UserError, match="names 2 classes, and its model has 3"):
        hdetr_d2.from_pretrained(saved, device="cpu")


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("model", {"a": 1}, "describes no model"),
        ("model.neck.out_channels", -128, "cannot be built here"),
        ("model.encoder.sizes.num_heads", 0, "cannot be built here"),
        ("model.decoder", "${model.decoder}", "cannot be read"),
        ("dataloader.test.mapper", {}, "describes no model and mapper"),
    ],
)
def test_a_config_that_makes_no_model_is_refused(
    saved: Path, key: str, value: object, sentence: str
) -> None:
    config = OmegaConf.load(saved / "config.yaml")
    OmegaConf.update(config, key, value, merge=False)
    OmegaConf.save(config, saved / "config.yaml")
    with pytest.raises(UserError, match=sentence):
        hdetr_d2.from_pretrained(saved, device="cpu")


@pytest.mark.parametrize("place", ["model", "dataloader.test.mapper"])
def test_no_code_that_a_config_names_is_run(saved: Path, place: str) -> None:
    config = yaml.safe_load((saved / "config.yaml").read_text(encoding="utf-8"))
    node = config
    for key in place.split("."):
        node = node[key]
    node["extra"] = {"_target_": "os.mkdir", "path": str(saved / "evil")}
    (saved / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    with pytest.raises(UserError, match=r"asks for 'os.mkdir', which is not part of a model"):
        hdetr_d2.from_pretrained(saved, device="cpu")
    assert not (saved / "evil").exists()


@pytest.mark.parametrize(
    "text",
    ["model: !!python/object/apply:os.mkdir [evil]", "a: [", "[" * 400, "", "model: {}", "3"],
)
def test_a_config_that_is_none_is_refused(
    saved: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(saved)
    (saved / "config.yaml").write_text(text)
    with pytest.raises(UserError, match="config"):
        hdetr_d2.from_pretrained(saved, device="cpu")
    assert not (saved / "evil").exists()


def test_a_folder_of_something_else_is_told(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(UserError, match="lacks model.safetensors, config.yaml, class_names.json"):
        hdetr_d2.from_pretrained(tmp_path)
    with pytest.raises(UserError, match=r"is a file: hdetr_d2.Predictor takes it"):
        hdetr_d2.from_pretrained(checkpoint)
    with pytest.raises(UserError, match="revision=v1: .* is a folder"):
        hdetr_d2.from_pretrained(tmp_path, revision="v1")
