"""What of a detrex model is told by its weights, what by detrex's settings, and what is refused."""

import hdetr_d2  # noqa: F401

import pickle
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from detectron2.data import MetadataCatalog

from hdetr_d2.checkpoint import load_for_inference
from hdetr_d2.checkpoint.importers import Arguments, find_importer
from hdetr_d2.engine.class_names import get_class_names
from hdetr_d2.engine.convert import convert_checkpoint
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone import without_pretrained

sys.path.insert(0, str(Path(__file__).parents[2] / "golden"))
import golden
from bottlenecks import resnet50

IMPORTER = find_importer("detrex")


def detector(case, device="meta"):
    """The recorded one on a ResNet-50, by detrex's names."""
    weights = golden.load(case).state_dict()
    weights = {k: v for k, v in weights.items() if not k.startswith("backbone.")}
    for level, channels in enumerate((512, 1024, 2048)):
        name = f"neck.convs.{level}.conv.weight"
        weights[name] = torch.randn(len(weights[name]), channels, 1, 1) / channels**0.5
    name = "neck.extra_convs.0.conv.weight"
    weights[name] = torch.randn(len(weights[name]), 2048, 3, 3) / 100
    return weights | resnet50(device)


def read(weights, **given):
    return IMPORTER.read(Arguments(IMPORTER.defaults, {}, given), weights)


@pytest.fixture
def dino():
    torch.manual_seed(0)
    return detector("detrex_dino_d32")


def test_the_settings_of_detrex_dino(dino):
    found = read(dino).options
    expected = {
        "data.num_classes": 5,
        "model.backbone.name": "resnet50.tv_in1k",
        "model.backbone.frozen": 1,
        "model.neck.in_shapes": [512, 1024, 2048],
        "model.encoder.position.temperature": 10000.0,
        "model.encoder.position.offset": -0.5,
        "model.decoder.eps": 1e-3,
        "model.decoder.heads.shared": False,
        "model.decoder.look_forward_twice": True,
        "model.criterion.weights.class": 1.0,
        "model.postprocessing.num_select": 300,
        "model.preprocessing.pixel_mean": [123.675, 116.28, 103.53],
        "data.resize.rounding": "detectron2",
        "optimizer.lr": 1e-4,
    }
    assert {key: found[key] for key in expected} == expected
    (node,) = found["model.schemes"]
    assert (node["groups"], node["max_queries"], node["label_noise"]) == (100, 200, 0.25)


@pytest.mark.parametrize("number", [10, 300])
def test_the_number_of_denoising_pairs_is_never_doubled(dino, number):
    (node,) = read(dino, dn_number=number, box_noise_scale=0.4).options["model.schemes"]
    assert (node["groups"], node["max_queries"]) == (number, 2 * number)
    assert node["box_noise"]["scale"] == 0.4


def test_the_table_of_labels_gets_a_row_that_nobody_looks_up(dino):
    found = read(dino)
    (name,) = found.label_tables
    assert found.weights[name].shape == (6, 32)
    assert found.weights[name][:5].equal(dino["label_enc.weight"])
    without = read(dino, dn_number=0)
    assert without.options["model.schemes"] == [] and name not in without.weights


def test_a_moving_average_has_every_head_once(dino):
    once = {k: v for k, v in dino.items() if not k.startswith(("class_embed.", "bbox_embed."))}
    twice, average = read(dino), read(once)
    assert set(average.weights) == set(twice.weights) and average.left_out == {}
    why = twice.left_out["transformer.decoder.class_embed.2.bias"]
    assert why == "the same as class_embed.2.bias"


def test_the_settings_of_detrex_h_deformable_detr():
    weights = detector("detrex_hdetr_d256")
    found = read(weights, num_queries_one2one=16, lr=2e-4)
    expected = {
        "model.query_selection.num_queries": 16,
        "model.query_selection.mixed_selection": True,
        "model.decoder.eps": 1e-3,
        "model.decoder.look_forward_twice": True,
        "model.criterion.weights.class": 2.0,
        "model.encoder.sizes.dropout": 0.0,
        "optimizer.lr": 2e-4,
    }
    assert {key: found.options[key] for key in expected} == expected
    (node,) = found.options["model.schemes"]
    assert (node["num_queries"], node["repeats"], node["weight"]) == (18, 6, 1.0)
    assert found.weights["scheme_slots.one2many.table"].shape == (18, 256)
    with pytest.raises(UserError, match="num_queries_one2one=300 and .* do not fit the 34 learned"):
        read(weights)


def test_a_model_of_bgr_takes_rgb_here(dino):
    dino["backbone.stem.conv1.weight"] = stem = torch.randn(64, 3, 7, 7)
    found = read(
        dino, input_format="BGR", pixel_mean=[103.53, 116.28, 123.675], pixel_std=[1.0, 2.0, 3.0]
    )
    assert found.weights["backbone.net.conv1.weight"].equal(stem[:, [2, 1, 0]])
    assert found.options["model.preprocessing.pixel_mean"] == [123.675, 116.28, 103.53]
    assert found.options["model.preprocessing.pixel_std"] == [3.0, 2.0, 1.0]
    with pytest.raises(UserError, match="input_format=YUV must be RGB or BGR"):
        read(dino, input_format="YUV")


def test_names_of_classes(dino):
    assert read(dino).class_names == []
    names = ["a", "b", "c", "d", "e"]
    assert read(dino, classes=names).class_names == names
    with pytest.raises(UserError, match="are not the names of the 5 classes"):
        read(dino, classes=names[:4])
    coco = {
        name: value.repeat(16, *[1] * (value.dim() - 1))
        if name.startswith("class_embed")
        else value
        for name, value in dino.items()
        if not name.startswith("transformer.decoder.class_embed")
    }
    coco["label_enc.weight"] = dino["label_enc.weight"].repeat(16, 1)
    assert read(coco).class_names == MetadataCatalog.get("coco_2017_val").thing_classes


def test_other_models_of_detrex_are_named():
    with pytest.raises(UserError, match="is none of detrex's DINO, H-Deformable-DETR, "):
        read({"anchor_box_embed.weight": torch.zeros(1)})


def test_a_backbone_that_is_not_here(dino):
    other = {k: v for k, v in dino.items() if not k.startswith("backbone.")}
    other["backbone.levels.0.blocks.0.dcn.weight"] = torch.zeros(1)
    with pytest.raises(UserError, match="nor a Swin, ConvNeXt, FocalNet or ViTDet"):
        read(other)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".pth", ".pkl"])
def test_a_file_of_detectron2s_checkpointer(tmp_path, suffix):
    torch.manual_seed(0)
    weights = detector("detrex_dino_d32", device="cpu")
    theirs = tmp_path / f"theirs{suffix}"
    if suffix == ".pkl":  # as Detectron2's model zoo has them
        arrays = {name: value.numpy() for name, value in weights.items()}
        theirs.write_bytes(pickle.dumps({"model": arrays, "__author__": "someone"}))
    else:
        evil = Namespace(pixel_mean=[{"_target_": "os.abort"}])
        torch.save({"model": weights, "iteration": 89999, "args": evil}, theirs)
    result = convert_checkpoint(
        theirs,
        source="detrex",
        output=tmp_path / "ours",
        arguments={"classes": ["a", "b", "c", "d", "e"], "select_box_nums_for_evaluation": 20},
    )
    assert result.assumed["num_heads"] == 8 and "classes" not in result.assumed
    cfg = LazyConfig.load(str(result.config))
    assert get_class_names(cfg) == ["a", "b", "c", "d", "e"]
    with without_pretrained():
        model = instantiate(cfg.model)
    load_for_inference(model, result.weights)
    with torch.no_grad():
        (output,) = model.eval()([{"image": torch.rand(3, 64, 96) * 255}])
    assert len(output["instances"]) == 20
