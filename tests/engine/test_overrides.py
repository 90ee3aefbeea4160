"""What is typed becomes what the option takes, or a sentence; of the options of all recipes see
`tests/configs/test_configs.py`.
"""

from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.main import argument_parser
from hdetr_d2.engine.overrides import apply_overrides
from hdetr_d2.errors import UserError

RECIPE = "custom/deformable_detr_coco_json_small.py"


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
