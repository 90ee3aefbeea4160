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
from hdetr_d2.checkpoint.weights import Misfit
from hdetr_d2.engine.shipped import shipped_config
from hdetr_d2.modeling.backbone import without_pretrained

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
    return config_of(imported), imported.weights


def config_of(imported):
    cfg = LazyConfig.load(shipped_config(imported.recipe))
    for option, value in (imported.options | {"model.backbone.pretrained": None}).items():
        OmegaConf.update(cfg, option, value, merge=False)
    return cfg


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


def shapes_of_detector(name, five_scales=False):
    """Those of a DINO of 256 channels, as many as a ViTDet's levels have."""
    larger = {32: 256, 64: 512, 96: 768}
    shapes = {
        key: [larger.get(side, side) for side in shape]
        for key, shape in golden.load("detrex_dino_d32").shapes.items()
        if not key.startswith(("backbone.", "neck."))
    }
    channels = CHANNELS.get(name, [256] * 4)
    if five_scales:
        channels = [256, *channels]
        shapes["transformer.level_embeds"] = [5, 256]
        for key in shapes:
            if ".sampling_offsets." in key or ".attention_weights." in key:
                shapes[key] = [shapes[key][0] * 5 // 4, *shapes[key][1:]]
    convs = {f"convs.{level}": [256, width, 1, 1] for level, width in enumerate(channels)}
    if name != "vitdet_base":
        convs["extra_convs.0"] = [256, channels[-1], 3, 3]
        shapes |= {f"neck.{key}.conv.weight": shape for key, shape in convs.items()}
        parts = ("conv.bias", "norm.weight", "norm.bias")
        shapes |= {f"neck.{key}.{part}": [256] for key in convs for part in parts}
    return shapes | SHAPES[name]


@pytest.mark.parametrize(
    ("name", "five_scales"), [*((name, False) for name in SHAPES), ("resnet50", True)]
)
def test_the_weights_fit_the_model_that_they_tell(name, five_scales):
    shapes = shapes_of_detector(name, five_scales)
    weights = {key: torch.zeros(1).expand(shape) for key, shape in shapes.items()}
    imported = IMPORTER.read(Arguments(IMPORTER.defaults, {}, {}), weights)
    cfg = config_of(imported)
    with torch.device("meta"), without_pretrained():
        misfit = Misfit.between(imported.weights, instantiate(cfg.model))
    assert not misfit, str(misfit)
    used = set(weights) - set(imported.left_out)
    assert len(imported.weights) == len(used)
