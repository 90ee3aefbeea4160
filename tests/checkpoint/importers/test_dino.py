import sys
from pathlib import Path

import pytest
import torch

from hdetr_d2.checkpoint.importers import Arguments, find_importer
from hdetr_d2.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))
import published

IMPORTER = find_importer("dino")


def read(weights, **stated):
    return IMPORTER.read(Arguments(IMPORTER.defaults, {"nheads": 4, **stated}, {}), weights)


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return published.dino_state_dict()


def test_weights_and_arguments_tell_the_options(weights):
    found = read(weights, num_select=50, pe_temperatureH=40, pe_temperatureW=40, lr=2e-4).options
    expected = {
        "data.num_classes": 5,
        "data.resize.rounding": "detr",
        "data.resize.interpolation": "pillow",
        "model.backbone.out_features": ["res3", "res4", "res5"],
        "model.neck.num_levels": 4,
        "model.encoder.position.temperature": 40.0,
        "model.query_selection.num_queries": 12,
        "model.decoder.num_layers": 2,
        "model.decoder.heads.shared": True,
        "model.decoder.look_forward_twice": True,
        "model.postprocessing.num_select": 50,
        "optimizer.lr": 2e-4,
    }
    assert {key: found[key] for key in expected} == expected


def test_five_levels():
    found = read(published.dino_state_dict(levels=5)).options
    assert found["model.backbone.out_features"] == ["res2", "res3", "res4", "res5"]
    assert found["model.neck.in_shapes"] == [256, 512, 1024, 2048]


def test_shared_heads_are_kept_once(weights):
    found = read(weights)
    assert found.left_out["class_embed.1.bias"] == "the same as class_embed.0.bias"
    assert found.left_out["transformer.decoder.bbox_embed.1.layers.0.bias"].endswith(
        "embed.0.layers.0.bias"
    )
    for name, theirs in {
        "decoder.heads.class_heads.0.bias": "class_embed.0.bias",
        "query_selection.heads.class_heads.0.bias": "transformer.enc_out_class_embed.bias",
        "query_selection.heads.box_heads.0.4.bias": "transformer.enc_out_bbox_embed.layers.2.bias",
        "query_selection.slots.table": "transformer.tgt_embed.weight",
        "decoder.position.mlp.2.bias": "transformer.decoder.ref_point_head.layers.1.bias",
        "decoder.norm.bias": "transformer.decoder.norm.bias",
    }.items():
        assert found.weights[name] is weights[theirs]


def test_heads_of_each_layer():
    own = published.dino_state_dict(shared=False)
    stated = {"dec_pred_class_embed_share": False, "dec_pred_bbox_embed_share": False}
    found = read(own, **stated)
    assert found.options["model.decoder.heads.shared"] is False
    assert found.weights["decoder.heads.class_heads.1.bias"] is own["class_embed.1.bias"]
    with pytest.raises(UserError, match="class_embed.1.weight should be the same as class_embed.0"):
        read(own)


@pytest.mark.parametrize(
    ("number", "groups", "max_queries"),
    [(100, 100, 200), (50, 50, 100), (49, 98, None), (10, 20, None)],
)
def test_the_number_of_denoising_groups(weights, number, groups, max_queries):
    found = read(weights, dn_number=number, dn_box_noise_scale=1.0, dn_label_noise_ratio=0.4)
    (node,) = found.options["model.schemes"]
    assert (node["groups"], node["max_queries"]) == (groups, max_queries)
    assert (node["label_noise"], node["box_noise"]["scale"]) == (0.2, 1.0)


def test_the_table_of_labels_goes_to_denoising():
    many = published.dino_state_dict(label_rows=9)  # a script's table may be larger than needed
    found = read(many)
    (table,) = found.label_tables
    assert found.weights[table].equal(many["label_enc.weight"][:6])
    off = read(many, use_dn=False)
    assert off.options["model.schemes"] == [] and table not in off.weights
    assert off.left_out["label_enc.weight"] == "of denoising, which is off"


@pytest.mark.parametrize(
    ("stated", "complaint"),
    [
        ({"two_stage_type": "no"}, "two_stage_type=no: only standard can be converted"),
        ({"num_patterns": 3}, "num_patterns=3: only 0 can be converted"),
        ({"pe_temperatureW": 30}, "pe_temperatureH=20.0 and pe_temperatureW=30 must be the same"),
        ({"num_queries": 900}, "num_queries=900 contradicts the weights, which say 12"),
    ],
)
def test_what_cannot_be_converted(weights, stated, complaint):
    with pytest.raises(UserError, match=complaint):
        read(weights, **stated)


def test_a_file_without_its_queries(weights):
    rest = {key: value for key, value in weights.items() if "tgt_embed" not in key}
    with pytest.raises(UserError, match="the file has no transformer.tgt_embed.weight"):
        read(rest)
