"""Every shipped recipe: found, loaded, saved as plain YAML, loaded back, built, stepped once; and
every option of it takes what is typed as its kind has it, or refuses it.
"""

import dataclasses
import re
from collections.abc import Iterator
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from detectron2.config import LazyConfig, instantiate
from detectron2.utils.registry import locate
from omegaconf import OmegaConf

from hdetr_d2.commands import check_data
from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.engine.build import build_optimizer
from hdetr_d2.engine.config import NODES, load_config, plain_config, save_config
from hdetr_d2.engine.overrides import NULL_BY_DEFAULT, Options
from hdetr_d2.engine.shipped import shipped_configs
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone import without_pretrained

ROOT = Path(__file__).parents[2]
RECIPES = shipped_configs()
# In C where libyaml is: several times as fast.
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
YAML_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
COMMON = sorted(
    path
    for folder in (ROOT, *(ROOT / "projects").iterdir())
    for path in (folder / "configs" / "common").rglob("*.py")
)

# As it is typed -> as Hydra's grammar reads it, which knows no kinds.
ODD_TEXTS = {
    "2026_11_28": 20261128,
    "12e4567": float("inf"),
    "1e5": 100000.0,
    "1_000": 1000,
    "3": 3,
    "true": True,
    "False": False,
    "007": "007",
    "0x10": "0x10",
    "2026-11-28": "2026-11-28",
    "off": "off",
    "nan": float("nan"),
}
BOOLEANS = {"off": False, "No": False, "FALSE": False, "on": True, "YES": True, "true": True}


@pytest.fixture(params=RECIPES)
def path(request):
    return str(RECIPES[request.param])


load_once = cache(load_config)


@pytest.fixture
def recipe(path):
    """To be read only: the same one for all tests."""
    return load_once(path)


@pytest.fixture
def cfg(recipe):
    cfg = deepcopy(recipe)
    cfg.data.num_classes = 3
    return cfg


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


def test_a_saved_recipe_is_the_same(recipe, tmp_path):
    assert set(NODES) <= set(recipe)
    saved = tmp_path / "config.yaml"
    save_config(recipe, saved)
    LazyConfig.save(recipe, str(tmp_path / "by_detectron2.yaml"))
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".yaml", ".yaml"]  # and no pickle
    for file in tmp_path.iterdir():
        assert isinstance(yaml.load(file.read_text(), YAML_LOADER), dict)
    # The order is part of it, and 1 is not 1.0.
    assert repr(plain_config(load_config(str(saved)))) == repr(plain_config(recipe))


@pytest.mark.slow  # seconds for a large backbone, although nothing of it is allocated
def test_the_model_can_be_built_in_its_full_size(cfg):
    assert count_parameters(text_of(cfg, "model")["model"]) > 1e6


def text_of(cfg, *names):
    """These nodes as YAML without references to others."""
    nodes = OmegaConf.create(plain_config(cfg))
    resolved = {name: OmegaConf.to_container(nodes[name], resolve=True) for name in names}
    return {name: text_of_node(node) for name, node in resolved.items()}


def text_of_node(node):
    return yaml.dump(node, Dumper=YAML_DUMPER)


def node_of(text):
    return OmegaConf.create(yaml.load(text, YAML_LOADER))


@cache  # many recipes have a model in common
def count_parameters(model):
    node = node_of(model)
    backbone = backbone_in_full_size(text_of_node(OmegaConf.to_container(node.backbone)))
    with torch.device("meta"), without_pretrained():
        built = instantiate({**node, "backbone": backbone})
    return sum(p.numel() for p in built.parameters())


@cache  # or a backbone, which takes most of the time
def backbone_in_full_size(backbone):
    with torch.device("meta"), without_pretrained():
        return instantiate(node_of(backbone))


@pytest.mark.slow  # of all models together most of this file's time
def test_a_step_of_a_small_version(cfg, shrink, small_model, make_batch):
    text = text_of(shrink(cfg), "model", "optimizer")
    step(text["model"], text["optimizer"], small_model, make_batch)


@cache  # or differ in what is no part of a step alone
def step(model, optimizer, small_model, make_batch):
    torch.manual_seed(0)
    model = small_model(node_of(model))
    optimizer = build_optimizer(node_of(optimizer), model)
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
    @cache
    def of(channels):
        root = tmp_path_factory.mktemp("shapes")
        sizes = {"num_train": 6, "num_val": 2, "image_size": 64, "num_classes": 6}
        generate_shapes(root=root, seed=0, channels=channels, **sizes)
        return root

    return of


def test_data_are_checked_for_a_recipe(cfg, shapes, monkeypatch, capsys):
    """Before any training, so without its length and without files that the recipe names."""
    monkeypatch.setattr(check_data, "load_config", lambda _: cfg)
    folder = shapes(cfg.data.get("channels"))
    assert check_data.main([str(folder), "--config-file", "this one"]) == 0
    assert capsys.readouterr().out.count("after the resize") == 2


def test_a_recipe_is_written_as_python(path, recipe):
    text = LazyConfig.to_py(recipe)
    compile(text, path, "exec")
    assert "cfg.model = hdetr_d2." in text and "num_queries=" in text


def test_no_target_is_a_dataclass(recipe):
    """LazyCall makes text of one, and Detectron2 cannot write that as Python again."""
    nodes = [OmegaConf.to_container(recipe, resolve=False)]
    for node in nodes:
        nodes += node.values() if isinstance(node, dict) else node if isinstance(node, list) else []
        target = node.get("_target_") if isinstance(node, dict) else None
        assert not dataclasses.is_dataclass(locate(target) if isinstance(target, str) else target)


def test_the_learning_rate_falls(recipe):
    multiplier = instantiate(recipe.lr_multiplier)
    assert multiplier(0.4) > multiplier(0.999)


@pytest.mark.parametrize("common", COMMON, ids=lambda path: path.stem)
def test_every_common_part_loads_by_itself(common):
    assert len(OmegaConf.to_container(LazyConfig.load(str(common)), resolve=False)) > 0


def leaves(node: Any, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Dotted path, value and `_target_` of the node that it stands in."""
    target = node.get("_target_") if isinstance(node, dict) else None
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{key}.")
        elif key != "_target_":
            yield f"{prefix}{key}", value, target
            if isinstance(value, list):
                yield from leaves(value, f"{prefix}{key}.")


@pytest.fixture(scope="module")
def all_options() -> list[Options]:
    return [Options(load_once(str(path))) for path in RECIPES.values()]


def unshared(all_options: list[Options]) -> Iterator[tuple[Options, str, Any, Any]]:
    """Each option that recipes do not share, once for every default."""
    seen = set()
    for recipe in all_options:
        for key, value, target in leaves({name: recipe.written[name] for name in NODES}):
            if (known := (key, repr(value), str(target))) not in seen:
                seen.add(known)
                yield recipe, key, value, target


def read(recipe: Options, key: str, typed: str, value: Any) -> Any:
    try:
        return recipe.read(key, value, typed)
    except UserError as error:
        assert str(error).startswith(f"{key}={typed} must be ")
        return UserError


def test_booleans_texts_and_numbers_of_all_recipes(all_options: list[Options]) -> None:
    count = dict.fromkeys((bool, str, int, float), 0)
    for recipe, key, default, _ in unshared(all_options):
        if type(default) not in count or "${" in str(default):
            continue
        count[type(default)] += 1
        for typed, value in ODD_TEXTS.items():
            found = read(recipe, key, typed, value)
            if key.rpartition(".")[2] == "pretrained":
                continue  # takes texts and booleans
            if type(default) is str:
                assert found == typed, key
            elif type(default) is bool:
                right = BOOLEANS.get(typed.replace("False", "FALSE"), UserError)
                assert found is right, (key, typed)
            elif type(default) in (int, float):
                good = typed in ("2026_11_28", "1e5", "1_000", "3", "nan")
                assert found is UserError or (good and type(found) in (int, float)), (key, typed)
        if type(default) is bool:
            assert {word: read(recipe, key, word, word) for word in BOOLEANS} == BOOLEANS
    assert min(count.values()) > 20


def test_the_kind_of_every_option_that_is_null_by_default_is_known(
    all_options: list[Options],
) -> None:
    found = set()
    for recipe, key, default, target in unshared(all_options):
        if default is None:
            assert not recipe.kind(key, target).anything, key
            found.add(key)
    assert found > {"data.train_json", "train.max_iter", "model.backbone.norm"}
    assert found > {key for key in NULL_BY_DEFAULT if not key.endswith("clip_grad_norm")}
