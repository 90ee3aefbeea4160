"""Published checkpoints that no recipe describes."""

from hdetr_d2 import model_zoo

from pathlib import Path

import pytest
import torch
from detectron2.config import instantiate

from hdetr_d2.checkpoint.importers import Arguments, find_importer
from hdetr_d2.engine.config import save_config
from hdetr_d2.engine.shipped import shipped_configs
from hdetr_d2.errors import UserError
from hdetr_d2.model_zoo import zoo
from hdetr_d2.model_zoo.imported import IMPORTED
from hdetr_d2.model_zoo.published import PUBLISHED

SMALL = "quickstart/deformable_detr_shapes.py"
NAME = "detrex/dino_r50_4scale_12ep"


@pytest.mark.parametrize("name", IMPORTED)
def test_an_entry_names_its_source_a_recipe_and_arguments_that_there_are(name: str) -> None:
    published = IMPORTED[name]
    assert name.split("/")[0] == published.source
    assert published.recipe in shipped_configs()
    importer = find_importer(published.source)
    Arguments(importer.defaults, {}, published.arguments)  # else it raises
    assert 39 < published.ap < 60
    assert model_zoo.get_checkpoint_url(name) == published.url


def test_no_file_is_listed_twice() -> None:
    urls = [published.url for published in [*IMPORTED.values(), *PUBLISHED.values()]]
    shared = {"drop_path0.5_swin_large_hybrid", "decay0.05_drop_path0.5"}  # tested in two ways
    twice = {url for url in urls if urls.count(url) > 1}
    assert all(any(text in url for text in shared) for url in twice)


@pytest.fixture
def converted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> torch.nn.Module:
    """The model in the folder that a conversion wrote, of a smaller kind."""
    cfg = model_zoo.get_config(SMALL)
    cfg.data.num_classes = 2
    cfg.data.class_names = ["circle", "square"]
    cfg.model.decoder.eps = 0.25
    model = instantiate(cfg.model)
    save_config(cfg, tmp_path / "config.yaml")
    torch.save(model.state_dict(), tmp_path / "model.pth")
    monkeypatch.setattr(zoo, "converted", lambda published: tmp_path / "model.pth")
    return model


def test_its_config_is_that_of_the_conversion(converted: torch.nn.Module, tmp_path: Path) -> None:
    cfg = model_zoo.get_config(NAME, trained=True)
    assert cfg.train.init_checkpoint == str(tmp_path / "model.pth")
    assert cfg.model.decoder.eps == 0.25 and list(cfg.data.class_names) == ["circle", "square"]
    model = model_zoo.get(NAME, device="cpu")
    for name, value in converted.decoder.state_dict().items():
        assert model.decoder.state_dict()[name].equal(value), name


def test_it_has_no_beginning() -> None:
    with pytest.raises(UserError, match="comes nearest is dino/dino_r50_4scale_12ep.py"):
        model_zoo.get(NAME, trained=False)
    with pytest.raises(UserError, match="there is no config detrex/nothing"):
        model_zoo.get("detrex/nothing")
