import argparse
import sys
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate

from hdetr_d2.checkpoint import load_for_inference
from hdetr_d2.checkpoint.importers import Arguments, Imported, find_importer
from hdetr_d2.engine.convert import convert_checkpoint
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone import without_pretrained

sys.path.insert(0, str(Path(__file__).parent))
import published_detr


def read(weights: dict, **stated: object) -> Imported:
    importer = find_importer("detr")
    return importer.read(Arguments(importer.defaults, stated, {}), weights)


def test_weights_tell_the_sizes() -> None:
    found = read(published_detr.state_dict())
    assert found.recipe == "detr/detr_r50_300ep.py"
    assert found.options == {
        "data.num_classes": 5,
        "data.resize.rounding": "detr",
        "data.resize.interpolation": "pillow",
        "model.backbone.name": "resnet50.tv_in1k",
        "model.backbone.output_stride": 32,
        "model.neck.in_shapes": [2048],
        "model.neck.out_channels": 32,
        "model.encoder.sizes.num_heads": 8,
        "model.encoder.sizes.feedforward_dim": 48,
        "model.encoder.sizes.pre_norm": False,
        "model.encoder.num_layers": 1,
        "model.decoder.num_layers": 2,
        "model.query_selection.num_queries": 12,
        "model.postprocessing.num_select": 12,
    }


def test_arguments_tell_the_rest() -> None:
    stated = {"dilation": True, "eos_coef": 0.2, "epochs": 500, "lr_drop": 200, "set_cost_class": 2}
    options = read(published_detr.state_dict(), **stated).options
    assert options["model.backbone.output_stride"] == 16
    assert options["model.criterion.class_loss.no_object_weight"] == 0.2
    assert options["model.criterion.matcher.weights.class"] == 2
    assert options["lr_multiplier.milestones"] == [200, 400]


@pytest.mark.parametrize(
    ("sizes", "arguments"),
    [
        ({}, {}),
        ({"pre_norm": True}, {"pre_norm": True}),
        pytest.param({"learned": 50}, {"position_embedding": "learned"}, marks=pytest.mark.slow),
        pytest.param({"queries": 30}, {"dilation": True}, marks=pytest.mark.slow),
    ],
)
def test_a_variant_is_built_and_loaded_from_what_was_written(
    sizes: dict, arguments: dict, tmp_path: Path
) -> None:
    weights = published_detr.state_dict(**sizes)
    # As the script saves it; the released files have no arguments, nor does this one at times.
    content = {"model": weights, "args": argparse.Namespace(nheads=4, masks=False, **arguments)}
    torch.save(content if arguments else {"model": weights}, tmp_path / "theirs.pth")
    written = convert_checkpoint(
        tmp_path / "theirs.pth", source="detr", output=tmp_path / "ours", arguments={"nheads": 4}
    )
    assert not written.left_out
    cfg = LazyConfig.load(str(written.config))
    with without_pretrained():
        model = instantiate(cfg.model).eval()
    load_for_inference(model, written.weights)
    with torch.no_grad():
        (found,) = model([{"image": torch.rand(3, 64, 96)}])
    assert len(found["instances"]) <= len(weights["query_embed.weight"])
    assert bool(written.assumed) == ("dilation" not in arguments)


RECIPES = {
    (0, 91): "detr/detr_r50_300ep.py",
    (4, 91): "detr/detr_masks_r50_25ep.py",
    (0, 250): "detr/detr_panoptic_boxes_r50_300ep.py",
    (4, 250): "detr/detr_panoptic_r50_25ep.py",
}


@pytest.mark.parametrize(("mask_heads", "classes"), RECIPES)
def test_masks_and_panoptic_models(mask_heads: int, classes: int) -> None:
    weights = published_detr.state_dict(mask_heads=mask_heads, classes=classes)
    stated = {"masks": mask_heads > 0, "nheads": 4, "mask_loss_coef": 2.0, "dice_loss_coef": 3}
    found = read(weights, **stated)
    assert found.recipe == RECIPES[mask_heads, classes]
    assert found.options["data.num_classes"] == classes
    # Category ids up to 90 are things.
    things = list(range(91)) if classes == 250 else None
    assert found.options.get("data.thing_classes") == things
    of_masks = {k: v for k, v in found.options.items() if k.startswith("model.mask_head.")}
    assert of_masks == (
        {
            "model.mask_head.num_heads": 4,
            "model.mask_head.loss.weights.mask": 2.0,
            "model.mask_head.loss.weights.dice": 3,
        }
        if mask_heads
        else {}
    )


@pytest.mark.parametrize(("num_ids", "classes", "num_things"), [(91, 80, 0), (250, 133, 80)])
@pytest.mark.slow
def test_a_mask_model_is_built_and_loaded_from_what_was_written(
    num_ids: int, classes: int, num_things: int, tmp_path: Path
) -> None:
    weights = published_detr.state_dict(mask_heads=8, classes=num_ids)
    torch.save({"model": weights}, tmp_path / "theirs.pth")
    written = convert_checkpoint(
        tmp_path / "theirs.pth", source="detr", output=tmp_path / "ours", classes=f"coco{classes}"
    )
    assert not written.left_out
    cfg = LazyConfig.load(str(written.config))
    assert cfg.data.num_classes == classes
    with without_pretrained():
        model = instantiate(cfg.model).eval()
    load_for_inference(model, written.weights)
    with torch.no_grad():
        (found,) = model([{"image": torch.rand(3, 64, 96)}])
    assert found["instances"].pred_masks.shape[1:] == (64, 96)
    assert ("panoptic_seg" in found) == bool(num_things)
    if num_things:
        assert model.postprocessing.panoptic.thing_classes == set(range(num_things))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"nheads": 5}, "nheads=5 does not fit the weights, which have 32 channels"),
        ({"pre_norm": True}, "pre_norm=True contradicts the weights"),
        ({"position_embedding": "learned"}, "learned contradicts the weights, which say sine"),
        ({"masks": True}, "masks=True contradicts the weights, which say False"),
        ({"num_queries": 100}, "num_queries=100 contradicts the weights, which say 12"),
    ],
)
def test_arguments_that_contradict_the_weights(arguments: dict, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read(published_detr.state_dict(), **arguments)


@pytest.mark.parametrize("name", ["class_embed.bias", "input_proj.weight", "query_embed.weight"])
def test_another_model(name: str) -> None:
    weights = {key: value for key, value in published_detr.state_dict().items() if key != name}
    with pytest.raises(UserError, match=f"the file has no {name}, which every"):
        read(weights)
