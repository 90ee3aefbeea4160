"""Backbones of Detectron2 and detrex against maps that their own code made."""

import hdetr_d2  # noqa: F401

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from omegaconf import OmegaConf

from hdetr_d2.checkpoint.importers import Arguments, find_importer
from hdetr_d2.engine.shipped import shipped_config

sys.path.insert(0, str(Path(__file__).parents[2] / "golden"))
import golden

# Of each map every sixteenth part of the channels was kept, and of these the first four.
RECORDED = np.load(Path(__file__).with_name("detrex_backbones.npz"))
SHAPES = json.loads(Path(__file__).with_name("detrex_backbones.json").read_text(encoding="utf-8"))
CHANNELS = {
    "resnet50": [512, 1024, 2048],
    "resnet50_1x1": [512, 1024, 2048],
    "swin_tiny": [192, 384, 768],
    "convnext_tiny": [192, 384, 768],
    "focalnet_tiny": [192, 384, 768],
    "focalnet_large": [384, 768, 1536],
}
IMPORTER = find_importer("detrex")
FAST = ("resnet50_1x1", "convnext_tiny")
GIVEN = {"resnet50_1x1": {"stride_in_1x1": True}}


def converted(name):
    """Config and weights here of a DINO on the backbone."""
    detector = golden.load("detrex_dino_d32").state_dict()
    weights = {k: v for k, v in detector.items() if not k.startswith("backbone.")}
    if name == "vitdet_base":  # it has a neck of its own
        weights = {k: v for k, v in weights.items() if not k.startswith("neck.")}
    weights |= golden.Case({"shapes": SHAPES[name.removesuffix("_1x1")]}, {}).state_dict()
    imported = IMPORTER.read(Arguments(IMPORTER.defaults, {}, GIVEN.get(name, {})), weights)
    cfg = LazyConfig.load(shipped_config(imported.recipe))
    for option, value in (imported.options | {"model.backbone.pretrained": None}).items():
        OmegaConf.update(cfg, option, value, merge=False)
    return cfg, imported.weights


def part(cfg, weights, name):
    made = instantiate(cfg.model[name]).eval()
    if name == "neck":
        made.connect(instantiate(cfg.model.backbone).output_shape())
    own = {k: v for k, v in weights.items() if k.startswith(f"{name}.")}
    made.load_state_dict({k.removeprefix(f"{name}."): v for k, v in own.items()})
    return made


def check_maps(maps, name):
    recorded = [RECORDED[key] for key in RECORDED if key[:-2] == name]
    for ours, theirs in zip(maps, recorded, strict=True):
        picked = ours[0, :: ours.shape[1] // 16][:4]
        torch.testing.assert_close(picked, torch.from_numpy(theirs), rtol=1e-5, atol=3e-5)


def image(height, width):
    return torch.from_numpy(
        np.random.RandomState(7).standard_normal((1, 3, height, width)).astype(np.float32)
    )


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in CHANNELS],
)
def test_the_maps_of_a_converted_backbone(name):
    backbone = part(*converted(name), "backbone")
    assert [shape.channels for shape in backbone.output_shape().values()] == CHANNELS[name]
    with torch.no_grad():
        check_maps(backbone(image(96, 160)).values(), name)


@pytest.mark.slow
def test_the_levels_on_a_converted_vitdet():
    """Absolute and relative positions are resampled, and the last windows are not full."""
    cfg, weights = converted("vitdet_base")
    backbone, neck = part(cfg, weights, "backbone"), part(cfg, weights, "neck")
    assert (cfg.model.backbone.image_size, cfg.model.backbone.positions) == (1024, 14)
    with torch.no_grad():
        check_maps(neck(backbone(image(288, 352))), "vitdet_base")
