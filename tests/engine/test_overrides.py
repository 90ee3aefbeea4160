"""Every option of every recipe takes what is typed as its kind has it, or refuses it."""

from collections.abc import Iterator
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from hdetr_d2.engine.config import NODES, load_config
from hdetr_d2.engine.main import argument_parser
from hdetr_d2.engine.overrides import NULL_BY_DEFAULT, Options, apply_overrides
from hdetr_d2.engine.shipped import shipped_configs
from hdetr_d2.errors import UserError

RECIPE = "custom/deformable_detr_coco_json_small.py"
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
def recipes() -> list[Options]:
    return [Options(load_config(name)) for name in shipped_configs()]


def options(recipes: list[Options]) -> Iterator[tuple[Options, str, Any, Any]]:
    """Each option that recipes do not share, once for every default."""
    seen = set()
    for recipe in recipes:
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


def test_booleans_texts_and_numbers_of_all_recipes(recipes: list[Options]) -> None:
    count = dict.fromkeys((bool, str, int, float), 0)
    for recipe, key, default, _ in options(recipes):
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


def test_the_kind_of_every_option_that_is_null_by_default_is_known(recipes: list[Options]) -> None:
    found = set()
    for recipe, key, default, target in options(recipes):
        if default is None:
            assert not recipe.kind(key, target).anything, key
            found.add(key)
    assert found > {"data.train_json", "train.max_iter", "model.backbone.norm"}
    assert found > {key for key in NULL_BY_DEFAULT if not key.endswith("clip_grad_norm")}


@pytest.fixture
def cfg() -> DictConfig:
    return load_config(RECIPE)


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("train.output_dir=2026_11_28", "2026_11_28"),
        ("train.output_dir=12e4567", "12e4567"),
        ("train.output_dir= 1e5 ", "1e5"),
        ("train.output_dir='2026'", "2026"),
        ("train.output_dir=off", "off"),
        ("train.output_dir=TRUE", "TRUE"),
        ("data.train_json=1_000", "1_000"),
        ("train.wandb={enabled: on, name: run7}", {"enabled": True, "name": "run7"}),
        ("train.wandb={enabled: on, name: '7'}", {"enabled": True, "name": "7"}),
        ("model.decoder.look_forward_twice=off", False),
        ("model.backbone.pretrained=off", False),
        ("model.backbone.pretrained=weights.pth", "weights.pth"),
        ("model.backbone.norm=null", None),
        ("model.backbone.out_features=[res4,res5]", ["res4", "res5"]),
        ("model.encoder.num_layers=2.0", 2),
        ("optimizer.lr=${train.seed}", 42),
        ("data.class_names=['1','2']", ["1", "2"]),
        ("train.clip_grad_norm=inf", float("inf")),
        ("data.pixel_range=4095", 4095),
        ("data.repeat_threshold=1e-3", 1e-3),
        ("+train.mine=2026_11", 202611),  # nothing is known of what is new
        ("+model.backbone.drop_path_rate=1e-1", 0.1),
    ],
)
def test_what_is_meant(cfg: DictConfig, override: str, value: Any) -> None:
    apply_overrides(cfg, argument_parser().parse_args(["--config-file", "x", override]).opts)
    found = OmegaConf.select(cfg, override.partition("=")[0].strip("+"))
    if isinstance(value, dict):
        found = {key: found[key] for key in value}
    assert found == value
    assert type(found) is type(value) or isinstance(value, list)


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("model.decoder.refine=perhaps", "true or false"),
        ("model.decoder.refine=1", "true or false"),
        ("model.decoder.refine=null", "true or false"),
        ("model.encoder.num_layers=2.5", "a whole number"),
        ("model.encoder.num_layers=two", "a whole number"),
        ("optimizer.lr=1e999", "a number"),
        ("optimizer.betas=[a,b]", "a number"),
        ("train.epochs={a: 1}", "a number, or null"),
        ("train.output_dir=[a]", "text, or null"),
        ("data.class_names=[1,2]", "text, which 1 is not without quotes: '1'"),
        ("data.class_names=[cat,true]", "text, which True is not without quotes: 'True'"),
        ("dataloader.train.mapper.copy_paste=off", "a group of options, or null"),
        ("data.generate=off", "a group of options, or null"),
        ("model.decoder.heads.class_loss=3", "a group of options"),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(cfg: DictConfig, override: str, reason: str) -> None:
    with pytest.raises(UserError) as error:
        apply_overrides(cfg, [override])
    assert str(error.value).endswith(f" must be {reason}")


def test_within_a_group_text_is_quoted(cfg: DictConfig) -> None:
    with pytest.raises(UserError, match=r"train.wandb.name=20261128 must be text, .*'20261128'$"):
        apply_overrides(cfg, ["train.wandb={name: 2026_11_28}"])
    node = "{_target_: hdetr_d2.data.shapes.generate_shapes, root: 2026_11_28}"
    with pytest.raises(UserError, match=r"data.generate.root=20261128 must be text"):
        apply_overrides(cfg, [f"data.generate={node}"])


def test_a_plus_leads_through_no_value(cfg: DictConfig) -> None:
    with pytest.raises(UserError, match=r"cannot add train.epochs.x: train.epochs is no group"):
        apply_overrides(cfg, ["+train.epochs.x=1"])
