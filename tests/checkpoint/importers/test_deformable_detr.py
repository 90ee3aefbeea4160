import sys
from pathlib import Path

import pytest
import torch

from hdetr_d2.checkpoint.importers import Arguments, find_importer
from hdetr_d2.errors import UserError

sys.path.insert(0, str(Path(__file__).parent))
import published

HYBRID = "h-deformable-detr"


def read(weights, source=HYBRID, **stated):
    importer = find_importer(source)
    return importer.read(Arguments(importer.defaults, stated, {}), weights)


@pytest.fixture(scope="module")
def two_stage():
    torch.manual_seed(0)
    return published.state_dict(refine=True, two_stage=True, mixed=True)


def test_weights_tell_the_sizes(two_stage):
    found = read(two_stage, nheads=4, num_queries_one2one=12).options
    expected = {
        "data.num_classes": 5,
        "data.resize.rounding": "detr",
        "data.resize.interpolation": "pillow",
        "model.backbone.name": "resnet50.tv_in1k",
        "model.backbone.out_features": ["res3", "res4", "res5"],
        "model.neck.in_shapes": [512, 1024, 2048],
        "model.neck.num_levels": 4,
        "model.neck.out_channels": 32,
        "model.encoder.sizes.num_heads": 4,
        "model.encoder.sizes.num_points": 2,
        "model.encoder.sizes.feedforward_dim": 48,
        "model.encoder.num_layers": 1,
        "model.decoder.num_layers": 2,
        "model.query_selection.num_queries": 12,
        "model.query_selection.mixed_selection": True,
        "model.decoder.look_forward_twice": False,
    }
    assert {key: found[key] for key in expected} == expected
    assert "model.schemes" not in found


def test_arguments_tell_the_rest(two_stage):
    found = read(
        two_stage,
        nheads=8,
        num_queries_one2one=4,
        k_one2many=6,
        lambda_one2many=0.5,
        dropout=0.0,
        topk=300,
        weight_decay=0.05,
        epochs=36,
        lr_drop=15,
        look_forward_twice=True,
    )
    assert found.options["model.schemes"] == [
        {
            "_target_": "hdetr_d2.schemes.HybridBranch",
            "num_queries": 8,
            "repeats": 6,
            "weight": 0.5,
        }
    ]
    table = two_stage["query_embed.weight"]
    assert found.weights["query_selection.slots.table"].equal(table[:4])
    assert found.weights["scheme_slots.one2many.table"].equal(table[4:])
    options = found.options
    assert options["model.encoder.sizes.dropout"] == 0.0
    assert options["model.postprocessing.num_select"] == 300
    assert options["optimizer.weight_decay"] == 0.05
    assert options["lr_multiplier.milestones"] == [15, 30]
    assert options["model.decoder.look_forward_twice"] is True
    assert options["model.encoder.sizes.num_points"] == 1  # of 8 heads instead of 4


def test_what_is_listed_twice_is_named(two_stage):
    left_out = read(two_stage, nheads=4, num_queries_one2one=12).left_out
    assert left_out["transformer.decoder.class_embed.2.bias"] == "the same as class_embed.2.bias"
    assert all(name.startswith("transformer.decoder.") for name in left_out)
    changed = two_stage | {"transformer.decoder.class_embed.2.bias": torch.ones(5)}
    with pytest.raises(UserError, match=r"class_embed.2.bias should be the same as class_embed.2"):
        read(changed, nheads=4, num_queries_one2one=12)


def test_heads_that_differ_are_not_taken_for_shared_ones():
    weights = published.state_dict()
    assert "class_embed.1.bias" in read(weights, nheads=4, num_queries_one2one=12).left_out
    weights["class_embed.1.bias"] = torch.zeros(5)
    with pytest.raises(UserError, match="class_embed.1.bias should be the same as class_embed.0"):
        read(weights, nheads=4, num_queries_one2one=12)


def test_other_points_in_the_decoder():
    weights = published.state_dict(points=(2, 4))
    node = read(weights, "deformable-detr", nheads=4).options["model.decoder.sizes"]
    assert node["num_points"] == 4
    assert node["dim"] == "${model.encoder.sizes.dim}"


def test_one_dilated_level():
    options = read(
        published.state_dict(levels=1), "deformable-detr", nheads=4, dilation=True
    ).options
    assert options["model.backbone.out_features"] == ["res5"]
    assert options["model.backbone.output_stride"] == 16
    assert options["model.neck.in_shapes"] == [2048]


def test_a_swin_and_its_names():
    weights = published.state_dict(backbone="swin_tiny")
    found = read(weights, "deformable-detr", nheads=4, drop_path_rate=0.5)
    assert found.options["model.backbone.name"] == "swin_tiny_patch4_window7_224.ms_in1k"
    assert found.options["model.backbone.norm"] is None
    assert found.options["model.backbone.drop_path_rate"] == 0.5
    for name, theirs in {
        "backbone.net.layers_1.downsample.reduction.weight": "layers.0.downsample.reduction.weight",
        "backbone.net.layers_3.blocks.1.attn.qkv.bias": "layers.3.blocks.1.attn.qkv.bias",
        "backbone.norms.res5.weight": "norm3.weight",
    }.items():
        assert found.weights[name] is weights[f"backbone.0.body.{theirs}"]
    dropped = [name for name in found.left_out if name.endswith("relative_position_index")]
    assert len(dropped) == 12


@pytest.mark.parametrize(
    ("stated", "complaint"),
    [
        ({"nheads": 5}, "nheads=5 does not fit the weights: 32 channels, and 32 samples on 4"),
        ({"nheads": 4, "two_stage": False}, "two_stage=False contradicts the weights"),
        ({"nheads": 4, "with_box_refine": False}, "with_box_refine=False contradicts the weights"),
        ({"nheads": 4, "dec_layers": 6}, "dec_layers=6 contradicts the weights, which say 2"),
        ({"nheads": 4}, "num_queries_one2one=300 and num_queries_one2many=0 do not fit the 12"),
        (
            {"nheads": 4, "num_queries_one2one": 4, "num_queries_one2many": 9},
            "num_queries_one2one=4 and num_queries_one2many=9 do not fit the 12",
        ),
    ],
)
def test_arguments_that_contradict_the_weights(two_stage, stated, complaint):
    with pytest.raises(UserError, match=complaint):
        read(two_stage, **stated)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("transformer.level_embed", "the file has no transformer.level_embed, which every"),
        ("class_embed.0.bias", "the file has no class_embed.0.bias"),
        ("backbone.0.body.layer1.0.conv3.weight", r"the backbone of the file .* is neither one of"),
    ],
)
def test_another_model(two_stage, name, complaint):
    weights = {key: value for key, value in two_stage.items() if key != name}
    with pytest.raises(UserError, match=complaint):
        read(weights, nheads=4, num_queries_one2one=12)


def test_what_was_not_stated_is_told():
    importer = find_importer("deformable-detr")
    arguments = Arguments(importer.defaults, {}, {"nheads": 4})
    importer.read(arguments, published.state_dict())
    assert arguments.assumed == {"dilation": False, "with_box_refine": False}


def test_an_unknown_argument_is_not_passed_over():
    defaults = find_importer(HYBRID).defaults
    with pytest.raises(UserError, match="--arg nhead: no such argument; did you mean nheads"):
        Arguments(defaults, {}, {"nhead": 4})
    with pytest.raises(UserError, match="the argument nheads=many must be of the kind of 8"):
        Arguments(defaults, {}, {"nheads": "many"})
    assert Arguments(defaults, {}, {"lambda_one2many": 1})["lambda_one2many"] == 1
    stored = {"nheads": 8, "coco_path": "/data"}  # what is of no interest here is no mistake
    assert Arguments(defaults, stored, {"nheads": 4})["nheads"] == 4


@pytest.mark.parametrize("name", ["dropout", "k_one2many", "with_box_refine", "lr"])
def test_a_file_cannot_smuggle_a_call_into_the_config(two_stage, name):
    call = {"_target_": "os.system", "command": "true"}
    with pytest.raises(UserError, match=f"the argument {name}=.* must be of the kind of"):
        read(two_stage, **{name: call})
