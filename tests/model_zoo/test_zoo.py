"""Configs and models by name; the page that lists them."""

from hdetr_d2 import model_zoo

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from detectron2.config import instantiate
from detectron2.data import MetadataCatalog

from hdetr_d2.checkpoint.weights import without_training_only
from hdetr_d2.engine.config import save_config
from hdetr_d2.engine.shipped import shipped_configs
from hdetr_d2.errors import UserError
from hdetr_d2.model_zoo import zoo
from hdetr_d2.model_zoo.__main__ import page
from hdetr_d2.model_zoo.published import PUBLISHED, Published
from hdetr_d2.pixels.resize_rule import ResizeRule

ROOT = Path(__file__).resolve().parents[2]
SMALL = "quickstart/deformable_detr_shapes.py"


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[torch.nn.Module]:
    """The model whose weights are published for the smallest recipe, of two classes."""
    monkeypatch.delitem(MetadataCatalog.data, "shapes_val", raising=False)
    MetadataCatalog.get("shapes_val").thing_classes = ["circle", "square"]
    model = instantiate(model_zoo.get_config(SMALL).model)
    torch.save(model.state_dict(), tmp_path / "model.pth")
    theirs = model_zoo.get_config(SMALL)
    theirs.data.resize.rounding = "detr"
    save_config(theirs, tmp_path / "config.yaml")
    monkeypatch.setattr(zoo, "PUBLISHED", {SMALL: Published("http://host/a.pth", "theirs", 1.0)})
    monkeypatch.setattr(zoo, "converted", lambda published: tmp_path / "model.pth")
    yield model
    MetadataCatalog.pop("shapes_val")


def test_a_trained_model_has_the_published_weights(small: torch.nn.Module) -> None:
    model = model_zoo.get(SMALL, device="cpu")
    assert model.training
    # What is for training only begins anew.
    for name, expected in without_training_only(small, small.state_dict()).items():
        found = model.state_dict()[name]
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_an_untrained_model_starts_as_its_recipe_says(small: torch.nn.Module) -> None:
    model = model_zoo.get(SMALL, trained=False, device="cpu")
    assert model.num_classes == 2
    trained, untrained = next(small.decoder.parameters()), next(model.decoder.parameters())
    assert not torch.equal(trained, untrained)


def test_the_config_of_a_trained_model(small: torch.nn.Module, tmp_path: Path) -> None:
    cfg = model_zoo.get_config(SMALL, trained=True)
    assert cfg.train.init_checkpoint == str(tmp_path / "model.pth")
    assert list(cfg.data.class_names) == ["circle", "square"]
    assert instantiate(cfg.data.resize) == ResizeRule("detr")  # as its authors do
    assert instantiate(model_zoo.get_config(SMALL).data.resize) == ResizeRule()
    assert model_zoo.get_checkpoint_url(SMALL) == "http://host/a.pth"


def test_the_classes_of_coco_are_known_without_its_files() -> None:
    cfg = model_zoo.get_config("deformable_detr/deformable_detr_pp_r50_12ep.py")
    assert (cfg.data.num_classes, cfg.data.class_names[0]) == (80, "person")
    assert cfg.train.init_checkpoint == ""


def test_the_classes_of_panoptic_coco_are_stated() -> None:
    cfg = model_zoo.get_config("detr/detr_panoptic_r101_25ep.py")
    assert (cfg.data.num_classes, cfg.model.postprocessing.panoptic.thing_classes) == (
        133,
        [*range(80)],
    )


def test_what_cannot_be_had_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(MetadataCatalog.data, "shapes_val", raising=False)
    with pytest.raises(UserError, match="no checkpoint of quickstart/.* is published"):
        model_zoo.get(SMALL)
    with pytest.raises(UserError, match="classes of 'shapes_val' are not known"):
        model_zoo.get(SMALL, trained=False)
    with pytest.raises(UserError, match="there is no config a.py"):
        model_zoo.get_checkpoint_url("a.py")


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_checkpoint_is_that_of_a_recipe_with_the_same_ap(name: str) -> None:
    published = PUBLISHED[name]
    assert f"Published: AP {published.ap}" in shipped_configs()[name].read_text(encoding="utf-8")
    epochs = re.search(r"_(\d+)ep", name)
    assert epochs is not None
    if published.source == "detr":
        assert published.arguments["epochs"] == int(epochs[1])
        assert published.arguments["dilation"] == ("-dc5-" in published.url) == ("_dc5_" in name)
        assert ("-panoptic-" in published.url) == (published.classes == "coco133")
        assert published.url.endswith(f"-{published.sha256}.pth")
    elif published.source == "co-detr":
        assert "_vit_large_" in name
        assert f"-{'lvis' if '_lvis_' in name else 'coco'}/resolve/main/" in published.url
    else:
        assert published.url.endswith(f"_two_stage_{epochs[1]}eps.pth")


def test_the_page_is_up_to_date() -> None:
    """Else: python -m hdetr_d2.model_zoo > docs/MODEL_ZOO.md"""
    assert (ROOT / "docs" / "MODEL_ZOO.md").read_text(encoding="utf-8") == page()
