"""Models of detrex as a file of detrex has them, converted: the detections that detrex's own code
gave, and of DINO and H-Deformable-DETR all losses.

Their small backbone is none of timm's: it is put in after a ResNet-50 has been converted.
"""

import hdetr_d2  # noqa: F401

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from omegaconf import OmegaConf

from hdetr_d2.checkpoint.importers import Arguments, find_importer
from hdetr_d2.engine.shipped import shipped_config

sys.path.insert(0, str(Path(__file__).parent))
import golden
from bottlenecks import Bottlenecks, resnet50
from golden_inputs import training_inputs

# What neither weights nor detrex's usual settings tell of the recorded models.
GIVEN = {
    "detrex_dino_d32": {"select_box_nums_for_evaluation": 40, "dn_number": 0},
    "detrex_hdetr_d256": {
        "select_box_nums_for_evaluation": 40,
        "num_queries_one2one": 16,
        "k_one2many": 3,
    },
    "detrex_deformable": {"select_box_nums_for_evaluation": 40},
    "detrex_refine": {"select_box_nums_for_evaluation": 40},
    "detrex_two_stage": {"select_box_nums_for_evaluation": 40, "num_queries": 16},
    "detrex_detr": {},
}
IMPORTER = find_importer("detrex")


@pytest.fixture(scope="module", params=GIVEN)
def recorded(request):
    return convert(request.param)


def convert(name, **more):
    """A case, and the model of its converted checkpoint."""
    case = golden.load(name)
    theirs = case.state_dict()
    weights = {k: v for k, v in theirs.items() if not k.startswith("backbone.")} | resnet50()
    given = Arguments(IMPORTER.defaults, {}, GIVEN[name] | more)
    imported = IMPORTER.read(given, weights)
    cfg = LazyConfig.load(shipped_config(imported.recipe))
    for option, value in imported.options.items():
        OmegaConf.update(cfg, option, value, merge=False)
    cfg.model.neck.in_shapes = None
    cfg.model.neck.in_features = cfg.model.backbone.out_features
    cfg.model.backbone = None
    cfg.model.backbone = {"_target_": f"{__name__}.backbone_of", "case": name}
    model = instantiate(cfg.model)
    ours = {k: v for k, v in imported.weights.items() if not k.startswith("backbone.")}
    missing, unexpected = model.load_state_dict(ours, strict=False)
    assert not missing and not unexpected
    return case, model


def backbone_of(case):
    return Bottlenecks(golden.load(case).state_dict())


def renamed(losses):
    """`loss_class_0_one2many` is `loss_class_one2many_0` here; without denoising no loss of it."""
    return {
        re.sub(r"(_\d+)_one2many$", r"_one2many\1", name): value
        for name, value in losses.items()
        if "_dn" not in name
    }


@pytest.mark.parametrize("recorded", ["detrex_dino_d32", "detrex_hdetr_d256"], indirect=True)
@pytest.mark.parametrize("objects", ["as_recorded", "second_empty", "all_empty"])
def test_every_loss(recorded, objects):
    case, model = recorded
    expected = case.meta
    if objects != "as_recorded":
        expected = case.other_targets[objects]
        counts = [3, 0] if objects == "second_empty" else [0, 0]
        case = replace(case, meta=case.meta | {"counts": counts})
    losses = {name: loss.item() for name, loss in model.train()(training_inputs(case)).items()}
    assert losses == pytest.approx(renamed(expected["weighted_losses"]), rel=1e-4, abs=1e-6)
    assert sum(losses.values()) == pytest.approx(expected["total"], rel=1e-4)


def test_every_loss_with_denoising(monkeypatch):
    """Of nine pairs each object has three; as recorded, every label becomes 1, every box moves."""
    expected = golden.load("detrex_dino_d32").denoising
    case, model = convert("detrex_dino_d32", dn_number=expected["dn_number"])
    monkeypatch.setattr(torch, "rand", lambda shape, **_: torch.full(tuple(shape), 0.2))
    monkeypatch.setattr(torch, "rand_like", lambda x: torch.full_like(x, 0.2))
    monkeypatch.setattr(torch, "randint_like", lambda x, high: torch.ones_like(x))
    losses = {name: loss.item() for name, loss in model.train()(training_inputs(case)).items()}
    assert losses == pytest.approx(expected["weighted_losses"], rel=1e-4)


def test_the_detections_of_one_image_at_a_time(recorded):
    case, model = recorded
    model.eval()
    for image, theirs in zip(case.images, case.detections, strict=True):
        with torch.no_grad():
            ours = model([{"image": image}])[0]["instances"]
        torch.testing.assert_close(ours.scores, theirs["scores"], rtol=1e-5, atol=1e-5)
        assert ours.pred_classes.tolist() == theirs["labels"].tolist()
        torch.testing.assert_close(ours.pred_boxes.tensor, theirs["boxes"], rtol=1e-5, atol=1e-3)
