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
    "swin_tiny": [192, 384, 768],
    "convnext_tiny": [192, 384, 768],
    "focalnet_tiny": [192, 384, 768],
    "focalnet_large": [384, 768, 1536],
}
IMPORTER = find_importer("detrex")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("resnet50", "convnext_tiny") else pytest.mark.slow)
        for name in SHAPES
    ],
)
def test_the_maps_of_a_converted_backbone(name):
    detector = golden.load("detrex_dino_d32").state_dict()
    weights = {k: v for k, v in detector.items() if not k.startswith("backbone.")}
    weights |= golden.Case({"shapes": SHAPES[name]}, {}).state_dict()
    imported = IMPORTER.read(Arguments(IMPORTER.defaults, {}, {}), weights)
    cfg = LazyConfig.load(shipped_config(imported.recipe))
    for option, value in (imported.options | {"model.backbone.pretrained": None}).items():
        OmegaConf.update(cfg, option, value, merge=False)
    backbone = instantiate(cfg.model.backbone).eval()
    ours = {k: v for k, v in imported.weights.items() if k.startswith("backbone.")}
    backbone.load_state_dict({k.removeprefix("backbone."): v for k, v in ours.items()})
    assert [shape.channels for shape in backbone.output_shape().values()] == CHANNELS[name]
    image = np.random.RandomState(7).standard_normal((1, 3, 96, 160)).astype(np.float32)
    with torch.no_grad():
        maps = backbone(torch.from_numpy(image))
    recorded = [RECORDED[key] for key in RECORDED if key.startswith(f"{name}_")]
    for ours, theirs in zip(maps.values(), recorded, strict=True):
        picked = ours[0, :: ours.shape[1] // 16][:4]
        torch.testing.assert_close(picked, torch.from_numpy(theirs), rtol=1e-5, atol=3e-5)
