"""Every shipped recipe: found, loaded, saved as plain YAML, loaded back, built, stepped once."""

import dataclasses
import re
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import torch
import yaml
from detectron2.config import LazyConfig, instantiate
from detectron2.utils.registry import locate
from omegaconf import OmegaConf

from hdetr_d2.commands import check_data
from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.engine.build import build_optimizer
from hdetr_d2.engine.config import NODES, config_text, load_config, plain_config, save_config
from hdetr_d2.engine.shipped import shipped_configs
from hdetr_d2.modeling.backbone import without_pretrained

ROOT = Path(__file__).parents[2]
RECIPES = shipped_configs()
COMMON = sorted(
    path
    for folder in (ROOT, *(ROOT / "projects").iterdir())
    for path in (folder / "configs" / "common").rglob("*.py")
)


@pytest.fixture(params=RECIPES)
def path(request):
    return str(RECIPES[request.param])


@cache
def load_once(path):
    cfg = load_config(path)
    cfg.data.num_classes = 3
    return cfg


@pytest.fixture
def cfg(path):
    return deepcopy(load_once(path))


def test_there_are_recipes():
    folders = {name.split("/")[0] for name in RECIPES}
    assert folders >= {"custom", "deformable_detr", "detr", "hdetr", "quickstart"}


def test_the_header_tells_what_one_must_know(path):
    header = Path(path).read_text().split('"""')[1]
    assert re.search(r"^Paper: +\S", header, re.MULTILINE)
    assert re.search(r"^Published: +(AP \d\d\.\d|none)", header, re.MULTILINE)
    if path.endswith("shapes.py"):
        return
    relative = Path(path).relative_to(ROOT)
    assert re.search(rf"^Command: +python \S+\.py[^:]*{relative}\b", header, re.MULTILINE)


def test_a_saved_recipe_is_the_same(cfg, tmp_path):
    assert set(NODES) <= set(cfg)
    saved = tmp_path / "config.yaml"
    save_config(cfg, saved)
    LazyConfig.save(cfg, str(tmp_path / "by_detectron2.yaml"))
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".yaml", ".yaml"]  # and no pickle
    for file in tmp_path.iterdir():
        assert isinstance(yaml.safe_load(file.read_text()), dict)
    assert config_text(load_config(str(saved))) == config_text(cfg)


@pytest.mark.slow  # seconds for a large backbone, although nothing of it is allocated
def test_the_model_can_be_built_in_its_full_size(cfg):
    assert count_parameters(text_of(cfg)["model"]) > 1e6


def text_of(cfg):
    """Every node as YAML without references to others."""
    nodes = OmegaConf.to_container(OmegaConf.create(plain_config(cfg)), resolve=True)
    return {key: yaml.safe_dump(node) for key, node in nodes.items()}


@cache  # many recipes have a model in common
def count_parameters(model):
    with torch.device("meta"), without_pretrained():
        return sum(p.numel() for p in instantiate(OmegaConf.create(model)).parameters())


def test_a_step_of_a_small_version(cfg, shrink, small_model, make_batch):
    text = text_of(shrink(cfg))
    step(text["model"], text["optimizer"], small_model, make_batch)


@cache  # or differ in what is no part of a step alone
def step(model, optimizer, small_model, make_batch):
    torch.manual_seed(0)
    model = small_model(OmegaConf.create(model))
    optimizer = build_optimizer(OmegaConf.create(optimizer), model)
    learning = {name: p for name, p in model.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in learning.items()}
    losses = model(make_batch([2, 1]))
    sum(losses.values()).backward()
    optimizer.step()
    changed = [name for name, p in learning.items() if not torch.equal(p, before[name])]
    assert len(changed) > len(before) / 2
    assert all(loss.isfinite() for loss in losses.values())


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    root = tmp_path_factory.mktemp("shapes")
    generate_shapes(root=root, num_train=6, num_val=2, image_size=64, seed=0, num_classes=6)
    return root


def test_data_are_checked_for_a_recipe(cfg, shapes, monkeypatch, capsys):
    """Before any training, so without its length and without files that the recipe names."""
    monkeypatch.setattr(check_data, "load_config", lambda _: cfg)
    assert check_data.main([str(shapes), "--config-file", "this one"]) == 0
    assert capsys.readouterr().out.count("after the resize") == 2


def test_a_recipe_is_written_as_python(path):
    cfg = LazyConfig.load(path)
    text = LazyConfig.to_py(cfg)
    compile(text, path, "exec")
    assert "cfg.model = hdetr_d2." in text and "num_queries=" in text


def test_no_target_is_a_dataclass(path):
    """LazyCall makes text of one, and Detectron2 cannot write that as Python again."""
    nodes = [OmegaConf.to_container(LazyConfig.load(path), resolve=False)]
    for node in nodes:
        nodes += node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
        target = node.get("_target_") if isinstance(node, dict) else None
        assert not dataclasses.is_dataclass(locate(target) if isinstance(target, str) else target)


def test_the_learning_rate_falls(cfg):
    multiplier = instantiate(cfg.lr_multiplier)
    assert multiplier(0.4) > multiplier(0.999)


@pytest.mark.parametrize("common", COMMON, ids=lambda path: path.stem)
def test_every_common_part_loads_by_itself(common):
    assert len(OmegaConf.to_container(LazyConfig.load(str(common)), resolve=False)) > 0
