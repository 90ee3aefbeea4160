"""Checkpoints of the released code: every name of the recorded one is used, and the model that it
describes takes the weights with nothing missing.
"""

import hdetr_d2  # noqa: F401

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from detectron2.config import LazyConfig

from hdetr_d2.checkpoint import read_checkpoint
from hdetr_d2.checkpoint.importers import Arguments, find_importer
from hdetr_d2.engine.convert import convert_checkpoint
from hdetr_d2.errors import UserError

sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "golden"))
sys.path.insert(0, str(Path(__file__).parents[3] / "tests" / "checkpoint" / "importers"))
sys.path.insert(0, str(Path(__file__).parent))
import golden
from released import co_dino, empty, swin, vit

pytestmark = pytest.mark.slow

IMPORTER = find_importer("co-detr")


@pytest.fixture(scope="module")
def weights():
    """Under the recorded names, as small as a file of such shapes can be."""
    recorded = golden.load("co_deformable_detr", Path(__file__).parent)
    assert len(recorded.shapes) == recorded.num_keys
    return {name: empty(shape) for name, shape in recorded.shapes.items()}


def convert(content: dict, folder: Path, **arguments: object):
    torch.save(content, folder / "theirs.pth")
    return convert_checkpoint(
        folder / "theirs.pth", source="co-detr", output=folder / "ours", arguments=arguments
    )


def read(weights: dict, **stated: object):
    return IMPORTER.read(Arguments(IMPORTER.defaults, stated, {}), weights)


@pytest.fixture(scope="module")
def converted(weights):
    with TemporaryDirectory() as folder:
        yield convert({"state_dict": weights, "meta": {}}, Path(folder))


@pytest.fixture(scope="module")
def found(weights):
    return read(weights).weights


def test_every_recorded_weight_is_used(weights, converted):
    counters = {name for name in weights if name.endswith("num_batches_tracked")}
    assert set(converted.left_out) == counters
    ours = read_checkpoint(converted.weights)["model"]
    used = sum(value.numel() for name, value in weights.items() if name not in counters)
    assert sum(value.numel() for value in ours.values()) == used


def test_the_config_describes_the_recorded_model(converted):
    cfg = LazyConfig.load(str(converted.config))
    assert (cfg.data.resize.rounding, cfg.data.resize.interpolation) == ("mmdetection", "opencv")
    model = cfg.model
    assert (model.encoder.num_layers, model.decoder.num_layers) == (2, 3)
    assert model.query_selection.num_queries == 30
    assert model.encoder.sizes.feedforward_dim == 512
    assert model.neck.bias is False and model.neck.num_levels == 4
    (scheme,) = model.schemes
    weights = [head.head.weight for head in scheme.collaborators.values() if "head" in head]
    assert weights == [6.0, 6.0]  # twice the three decoder layers


# The published name -> ours, of one weight of every part.
PARTS = {
    "neck.extra_convs.0.gn.bias": "neck.projections.3.1.bias",
    "query_head.transformer.level_embeds": "encoder.level_embed",
    "query_head.transformer.encoder.layers.1.norms.0.bias": "encoder.layers.1.norm.bias",
    "query_head.transformer.decoder.layers.2.attentions.0.attn.in_proj_bias": (
        "decoder.layers.2.self_attention.in_proj.bias"
    ),
    "query_head.transformer.decoder.layers.2.norms.0.bias": "decoder.layers.2.self_norm.bias",
    "query_head.transformer.decoder.layers.2.norms.1.bias": "decoder.layers.2.cross_norm.bias",
    "query_head.transformer.pos_trans_norm.bias": "query_selection.position_norm.bias",
    "query_head.query_embedding.weight": "query_selection.slots.table",
    "query_head.cls_branches.3.bias": "query_selection.heads.class_heads.0.bias",
    "query_head.reg_branches.2.4.bias": "decoder.heads.box_heads.2.4.bias",
    "query_head.downsample.0.bias": "schemes.0.adapter.conv.bias",
    "query_head.transformer.aux_pos_trans.0.bias": (
        "schemes.0.collaborators.faster_rcnn.queries.box_proj.bias"
    ),
    "query_head.transformer.pos_feats_norm.1.bias": (
        "schemes.0.collaborators.atss.queries.feature_norm.bias"
    ),
    "rpn_head.rpn_reg.bias": "schemes.0.collaborators.faster_rcnn.head.rpn.box_conv.bias",
    "roi_head.0.bbox_head.shared_fcs.1.bias": (
        "schemes.0.collaborators.faster_rcnn.head.roi_head.hidden.2.bias"
    ),
    "roi_head.0.bbox_head.fc_cls.bias": (
        "schemes.0.collaborators.faster_rcnn.head.roi_head.class_layer.bias"
    ),
    "bbox_head.0.reg_convs.0.gn.bias": (
        "schemes.0.collaborators.atss.head.predictor.box_tower.1.bias"
    ),
    "bbox_head.0.atss_centerness.bias": (
        "schemes.0.collaborators.atss.head.predictor.quality_conv.bias"
    ),
}


@pytest.mark.parametrize("theirs", PARTS)
def test_a_weight_of_every_part(weights, found, theirs):
    assert found[PARTS[theirs]] is weights[theirs]


def test_what_is_several_tensors_in_one_of_the_two(weights):
    scales = {f"bbox_head.0.scales.{i}.scale": torch.tensor(i + 1.0) for i in range(5)}
    rows = {"query_head.transformer.head_pos_embed.weight": torch.tensor([[3.0], [7.0]])}
    found = read(weights | scales | rows).weights
    scheme = "schemes.0.collaborators."
    assert found[f"{scheme}atss.head.predictor.scales"].tolist() == [1, 2, 3, 4, 5]
    for name, value in {"faster_rcnn": 3.0, "atss": 7.0}.items():
        position = found[f"{scheme}{name}.queries.head_position"]
        assert position.shape == () and position == value


@pytest.mark.parametrize("backbone", ["resnet50", "swin_tiny"])
def test_co_dino(weights, backbone, tmp_path):
    weights = co_dino(weights)
    if backbone == "swin_tiny":
        weights = swin(weights)
    stated = {"num_dn_queries": 50, "dn_box_noise_scale": 0.4, "max_per_img": 1000}
    result = convert({"state_dict": weights, "meta": {}}, tmp_path, **stated)
    cfg = LazyConfig.load(str(result.config))
    assert cfg.model.backbone.name.startswith(backbone)
    assert cfg.model.neck.num_levels == 5 and cfg.model.postprocessing.num_select == 1000
    denoising = cfg.model.schemes[0]
    assert (denoising.groups, denoising.max_queries) == (50, 100)
    assert denoising.box_noise.scale == 0.4
    ours = read_checkpoint(result.weights)["model"]
    table = ours["schemes.0.label_embed.weight"]
    assert table[:-1].equal(weights["query_head.label_embedding.weight"])
    assert not table[-1].any()  # of no label
    scheme = "schemes.1.collaborators."
    assert ours[f"{scheme}atss.queries.box_proj.weight"].shape == (256, 512)
    assert ours[f"{scheme}atss.head.predictor.scales"].shape == (6,)


def test_the_file_tells_the_names_of_the_classes(weights, tmp_path):
    names = [f"thing {label}" for label in range(80)]
    meta = {"CLASSES": tuple(names), "config": "raise SystemExit('never run')", "epoch": 12}
    result = convert({"state_dict": weights, "meta": meta}, tmp_path)
    assert list(LazyConfig.load(str(result.config)).data.class_names) == names
    with pytest.raises(UserError, match="are not the names of the 80 classes"):
        read(weights, classes=["one"])
    with pytest.raises(UserError, match="are not the names of the 80 classes"):
        read(weights, classes=["${oc.env:HOME}"] * 80)


MASKS = {
    "roi_head.0.mask_head.conv_logits.weight": torch.zeros(80, 256, 1, 1),
    "mask_head.stages.0.fuse_conv.0.weight": torch.zeros(256, 513, 1, 1),
    "mask_iou_head.fcs.0.bias": torch.zeros(1024),
}


def test_mask_heads_are_left_out(weights, tmp_path):
    result = convert({"state_dict": weights | MASKS, "meta": {}}, tmp_path)
    reasons = {result.left_out[name] for name in MASKS}
    assert reasons == {"of masks, which are not predicted here"}


def test_what_was_before_an_average_is_left_out(weights):
    imported = read(weights | {"ema_bbox_head_0_atss_reg_bias": torch.zeros(4)})
    assert "averaged" in imported.left_out["ema_bbox_head_0_atss_reg_bias"]


@pytest.mark.parametrize("squares", [False, True])
def test_co_dino_on_a_plain_transformer(weights, squares, tmp_path):
    weights = vit(co_dino(weights), squares=squares)
    result = convert({"state_dict": weights, "meta": {}}, tmp_path)
    assert set(result.left_out.values()) == {"computed from the size of a map"}
    cfg = LazyConfig.load(str(result.config))
    backbone, denoising = cfg.model.backbone, cfg.model.schemes[0]
    assert (backbone.window, backbone.global_every) == ((16, 3) if squares else (24, 4))
    assert (backbone.patch_size, backbone.image_size) == (16, 512)
    assert backbone.drop_path_rate == (0.3 if squares else 0.4)
    assert cfg.model.preprocessing.get("side") == (1536 if squares else None)
    assert cfg.model.postprocessing.num_select == 1000
    assert (denoising.groups, denoising.max_queries, denoising.box_noise.scale) == (300, 600, 0.4)
    head = cfg.model.schemes[1].collaborators.faster_rcnn.head.roi_head
    assert (head.num_convs, head.num_hidden) == ((0, 2) if squares else (4, 1))
    assert head.class_agnostic == (not squares)
    ours = read_checkpoint(result.weights)["model"]
    assert ours["backbone.net.pos_embed"][0, :, 0].tolist() == [*range(1, 1025)]


# What the released models of LVIS are said to have in the place of a second stage.
SECOND_STAGES = {
    "none": {},
    "cascade": {"roi_head.0.bbox_head.0.fc_cls.bias": torch.zeros(1204)},
    "no_background": {"roi_head.0.bbox_head.fc_cls.bias": torch.zeros(80)},
}


@pytest.mark.parametrize("kind", SECOND_STAGES)
def test_a_second_stage_of_another_form_is_left_out(weights, kind, tmp_path):
    rest = vit(co_dino(weights), squares=True)
    rest = {n: v for n, v in rest.items() if not n.startswith(("roi_head.", "backbone.rope_glb."))}
    rest = {n: v for n, v in rest.items() if not ("attn.rope" in n and len(v) == 96**2)}
    frequencies = {"query_head.loss_cls.fed_loss_weight": torch.zeros(80)}
    content = {"state_dict": rest | SECOND_STAGES[kind] | frequencies, "meta": {}}
    result = convert(content, tmp_path)
    cfg = LazyConfig.load(str(result.config))
    assert cfg.model.backbone.global_every == 3 and cfg.model.preprocessing.side == 1536
    assert cfg.model.schemes[1].collaborators.faster_rcnn is None
    left_out = {*SECOND_STAGES[kind], *frequencies, "rpn_head.rpn_cls.bias"}
    assert left_out < set(result.left_out)
    ours = read_checkpoint(result.weights)["model"]
    heads = {n.split(".")[3] for n in ours if n.startswith("schemes.1.collaborators.")}
    assert heads == {"atss"}


def test_windows_are_those_of_the_recipe_where_the_file_has_no_tables(weights):
    weights = {n: v for n, v in vit(co_dino(weights)).items() if ".rope" not in n}
    options = read(weights, drop_path_rate=0.1).options
    assert "model.backbone.window" not in options
    assert options["model.backbone.drop_path_rate"] == 0.1


def test_a_plain_transformer_of_another_kind(weights):
    weights = vit(co_dino(weights))
    irregular = {n: v for n, v in weights.items() if "blocks.0.attn.rope" not in n}
    with pytest.raises(UserError, match=r"the blocks \[0, 3, 7, .* attend to the whole map"):
        read(irregular)
    shallow = {n: v for n, v in weights.items() if "blocks.23." not in n}
    with pytest.raises(UserError, match="1024 channels and 23 blocks, is none of eva02_large"):
        read(shallow)
