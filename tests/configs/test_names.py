"""What the name of a recipe says is what it does, with the settings of the papers."""

import re
from functools import cache
from pathlib import Path

import pytest
from omegaconf import DictConfig

from hdetr_d2.engine.config import load_config

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = sorted(
    f"{folder}/{path.name}"
    for folder in ("deformable_detr", "hdetr", "lora_detr", "ms_detr")
    for path in (CONFIGS / folder).glob("*.py")
)
MILESTONES = {12: 11, 24: 20, 36: 30, 50: 40}
BACKBONES = {"r50": "resnet50", "tiny": "swin_tiny", "small": "swin_small", "large": "swin_large"}


@cache
def config(name: str) -> DictConfig:
    return load_config(str(CONFIGS / name))


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_does_what_its_name_says(name: str) -> None:
    cfg, stem = config(name), Path(name).stem
    size = re.search(r"_(r50|tiny|small|large)_", stem)[1]
    epochs = int(re.search(r"_(\d+)ep", stem)[1])
    assert cfg.train.output_dir == f"output/{stem}"
    assert (cfg.train.epochs, cfg.lr_multiplier.milestones) == (epochs, [MILESTONES[epochs]])
    assert cfg.model.backbone.name.startswith(BACKBONES[size])
    assert cfg.optimizer.weight_decay == (0.05 if "_wd05_" in stem else 1e-4)
    assert cfg.model.postprocessing.num_select == (
        300 if "_top300" in stem or "_lvis_" in stem else 100
    )
    queries = 900 if "_900q_" in stem else 1800 if re.search("_epoch_|_layer_", stem) else 300
    assert cfg.model.query_selection.num_queries == queries
    assert cfg.data.val_name == ("lvis_v1_val" if "_lvis_" in stem else "coco_2017_val")
    if size != "r50":
        assert cfg.model.backbone.frozen == 0
        long = (size, epochs) == ("large", 36)
        assert cfg.model.backbone.drop_path_rate == (0.5 if long else 0.2)


@pytest.mark.parametrize("name", NAMES)
def test_what_all_recipes_share(name: str) -> None:
    cfg = config(name)
    assert cfg.dataloader.train.total_batch_size == 16
    assert (cfg.optimizer.lr, cfg.train.clip_grad_norm) == (2e-4, 0.1)
    scales = {rule.pattern: rule.lr_scale for rule in cfg.optimizer.params["rules"]}
    slow = "box_heads" if name.startswith("lora_detr/") else "reference_points|sampling_offsets"
    assert scales == {r"^backbone\.": 0.1, slow: 0.1}


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("ms_detr/")])
def test_a_recipe_of_ms_detr(name: str) -> None:
    model = config(name).model
    assert [scheme._target_.__name__ for scheme in model.schemes] == ["MixedSupervision"]
    assert model.decoder.order._target_.__name__ == "CrossFirst"
    assert model.criterion.weights == {"class": 2.0, "bbox": 5.0, "giou": 2.0}
    assert model.criterion.weights_of == {"main": {"class": 1.0}}
    assert model.encoder.sizes.feedforward_dim == 2048
    assert model.encoder.sizes.dropout == (0.0 if "_pp_" in name else 0.1)


def test_the_recipe_of_lora_detr() -> None:
    model = config("lora_detr/lora_deformable_detr_r50_12ep.py").model
    found = [(each.assigner.topk, each.rank, each.weight) for each in model.schemes]
    assert found == [(6, 32, 1 / 3), (4, 32, 1 / 3), (2, 32, 1 / 3)]
    assert model.criterion.class_loss._target_.__name__ == "GradedLoss"
    assert model.criterion.weights_of == {"main": {"class": 1.0}}
    assert model.decoder.get("order") is None


@pytest.mark.parametrize("name", [f"detr/{path.name}" for path in (CONFIGS / "detr").glob("*.py")])
def test_a_recipe_of_detr(name: str) -> None:
    cfg, stem = config(name), Path(name).stem
    masks, boxes, dc5, size, epochs = re.fullmatch(
        r"detr_(masks_|panoptic_)?(boxes_)?(dc5_)?r(\d+)_(\d+)ep", stem
    ).groups()
    assert cfg.train.output_dir == f"output/{stem}"
    assert cfg.train.epochs == int(epochs)
    assert cfg.lr_multiplier.milestones == [{"25": 15, "300": 200, "500": 400}[epochs]]
    assert cfg.model.backbone.name == f"resnet{size}.tv_in1k"
    assert cfg.model.backbone.get("output_stride", 32) == (16 if dc5 else 32)
    # The README of its code trains the models of segments with two images a device.
    batch = 16 if masks else 64
    assert (cfg.optimizer.lr, cfg.dataloader.train.total_batch_size) == (1e-4, batch)
    rules = [dict(rule) for rule in cfg.optimizer.params["rules"]]
    assert rules == [{"pattern": r"^backbone\.", "lr_scale": 0.1}]
    segments = bool(masks and not boxes)
    assert ("mask_head" in cfg.model) == segments == cfg.dataloader.train.mapper.with_masks
    assert list(cfg.model.get("freeze", [])) == [r"^(?!mask_head\.)"] * segments
    assert ("panoptic" in cfg.model.postprocessing) == (segments and masks == "panoptic_")
