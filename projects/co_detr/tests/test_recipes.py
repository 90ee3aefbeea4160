"""What the name of a recipe says is what it does, with the settings of its authors."""

import hdetr_d2  # noqa: F401

import re
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import torch
from detectron2.config import instantiate
from detectron2.structures import BoxMode
from PIL import Image

from hdetr_d2.engine.build import build_optimizer
from hdetr_d2.engine.config import load_config
from hdetr_d2.losses import QualityFocalLoss
from hdetr_d2.modeling import SoftNMSPairs
from hdetr_d2.projects.co_detr import SoftSuppression, Suppression

FOLDER = Path(__file__).parents[1] / "configs"
NAMES = sorted(path.stem for path in FOLDER.glob("*ep.py"))
MILESTONES = {12: [11], 16: [8], 24: [20], 36: [30]}
MILESTONES_OF_VIT = {12: [7], 16: [9, 15]}
BACKBONES = {
    "r50": "resnet50",
    "tiny": "swin_tiny_patch4_window7",
    "small": "swin_small_patch4_window7",
    "base": "swin_base_patch4_window12",
    "large": "swin_large_patch4_window12",
    "vit": "eva02_large_patch14_448",
}
# Stochastic depth by backbone and epochs, of Co-Deformable-DETR and of Co-DINO.
DROP_PATH = {
    ("tiny", 12): 0.2,
    ("tiny", 36): 0.3,
    ("small", 12): 0.2,
    ("small", 36): 0.4,
    ("base", 12): 0.2,
    ("base", 36): 0.4,
    ("large", 12): 0.3,
    ("large", 36): 0.6,
}
# Side of the squares of large-scale jitter.
SIDES = {"r50": 1024, "large": 1280, "o365": 1536, "vit": 1536}


load_once = cache(load_config)


def recipe(name: str):
    return deepcopy(load_once(str(FOLDER / f"{name}.py")))


def size_of(name: str) -> str:
    return "vit" if "_vit_" in name else re.search("_(r50|tiny|small|base|large)_", name)[1]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_does_what_its_name_says(name: str):
    cfg, size, epochs = recipe(name), size_of(name), int(re.search(r"_(\d+)ep$", name)[1])
    assert cfg.train.output_dir == f"output/{name}"
    assert cfg.train.epochs == epochs
    milestones = MILESTONES_OF_VIT if size == "vit" else MILESTONES
    assert cfg.lr_multiplier.milestones == milestones[epochs]
    assert cfg.model.backbone.name.startswith(BACKBONES[size])
    assert cfg.model.encoder.num_layers == (9 if "_9encoder_" in name else 6)
    assert cfg.data.val_name == ("lvis_v1_val" if "_lvis_" in name else "coco_2017_val")
    assert cfg.data.keep_empty and cfg.dataloader.train.total_batch_size == 16
    rare = 1e-3 if name == "co_dino_5scale_r50_lvis_12ep" else None
    assert cfg.dataloader.train.repeat_threshold == rare
    jitter = "_lsj_" in name
    assert ("side" in cfg.model.preprocessing) == jitter
    mapper = cfg.dataloader.train.mapper
    assert (mapper.copy_paste is not None) == jitter and not mapper.with_masks
    if jitter:
        side = SIDES["o365" if "_o365_" in name else size]
        train, test = cfg.dataloader.train, cfg.dataloader.test
        assert train.mapper.augmentations[1].size == cfg.model.preprocessing.side == side
        assert test.mapper.augmentations[0].sides == [side]
        assert test.mapper.augmentations[0].max_size == side


@pytest.mark.parametrize("name", [name for name in NAMES if "co_deformable" in name])
def test_co_deformable_detr(name: str):
    cfg, size, epochs = recipe(name), size_of(name), int(re.search(r"_(\d+)ep$", name)[1])
    many = "_900q_" in name
    assert cfg.model.query_selection.num_queries == (900 if many else 300)
    assert cfg.model.postprocessing.num_select == (300 if many else 100)
    decay = 1e-4 if size == "r50" else 0.05
    assert (cfg.optimizer.lr, cfg.optimizer.weight_decay) == (2e-4, decay)
    if size != "r50":
        assert cfg.model.backbone.drop_path_rate == DROP_PATH[size, epochs]
    (scheme,) = cfg.model.schemes
    check_scheme(scheme, strides=[8, 16, 32, 64], queries="FeatureQueries")


@pytest.mark.parametrize("name", [name for name in NAMES if "co_dino" in name])
def test_co_dino(name: str):
    cfg, size = recipe(name), size_of(name)
    tuned = size == "vit" or "_o365_" in name
    assert cfg.model.query_selection.num_queries == (1500 if "vit_large_12" in name else 900)
    large = size == "vit" or "_o365_lvis_" in name
    assert cfg.model.postprocessing.num_select == (1000 if large else 300)
    class_loss = cfg.model.criterion.class_loss
    if "_federated_" in name:
        class_loss = class_loss.loss
    assert class_loss._target_ is QualityFocalLoss
    assert cfg.model.postprocessing.pick._target_ is SoftNMSPairs
    assert not cfg.model.decoder.heads.shared and cfg.model.decoder.eps == 1e-3
    denoising, scheme = cfg.model.schemes
    numbers = {"vit": 300}.get(size, 500 if tuned else 100)
    assert (denoising.groups, denoising.max_queries) == (numbers, 2 * numbers)
    assert (denoising.label_noise, denoising.box_noise.scale) == (0.25, 0.4 if tuned else 1.0)
    assert cfg.optimizer.lr == (5e-5 if size == "vit" else 1e-4 if tuned else 2e-4)
    check_scheme(scheme, strides=[4, 8, 16, 32, 64], queries="BoxQueries")
    roi_head = scheme.collaborators.faster_rcnn.head.roi_head
    assert roi_head.get("class_agnostic", False) == ("vit_large_12" in name)


def check_scheme(scheme, *, strides: list[int], queries: str):
    assert (scheme.strides, scheme.weight, scheme.max_queries) == (strides, 1.0, 300)
    two = (scheme.collaborators.faster_rcnn, scheme.collaborators.atss)
    assert [each.head.weight for each in two] == [12.0, 12.0]
    assert {each.queries._target_.__name__ for each in two} == {queries}
    assert two[0].head.roi_head.num_levels == len(strides)
    assert two[1].head.num_levels == len(strides) + 1


@pytest.mark.parametrize("name", ["co_dino_5scale_vit_large_12ep", "co_dino_5scale_r50_12ep"])
def test_the_second_stage(name: str):
    options = recipe(name).model.schemes[1].collaborators.faster_rcnn.head.roi_head
    if "_vit_" in name:
        assert (options.num_convs, options.num_hidden, options.class_agnostic) == (4, 1, True)
        assert options.stds == [0.05, 0.05, 0.1, 0.1]
    else:
        assert "num_convs" not in options


# What the heads do at inference: boxes of a level, proposals and their IoU; IoU and detections of
# the second stage, and of ATSS.
TESTS = {
    "co_dino_5scale_r50_12ep": ((1000, 1000, 0.7), (0.5, 100), (0.6, 100)),
    "co_dino_5scale_lsj_swin_large_o365_lvis_16ep": ((1000, 1000, 0.7), (0.5, 1000), (0.6, 1000)),
    "co_dino_5scale_vit_large_12ep": ((8000, 2000, 0.9), (0.5, 1000), (0.6, 100)),
    "co_dino_5scale_lsj_vit_large_lvis_16ep": ((8000, 2000, 0.9), (0.5, 1000), (0.6, 100)),
}


@pytest.mark.parametrize("name", TESTS)
def test_detection_by_a_head(name: str):
    heads = recipe(name).model.schemes[-1].collaborators
    proposals, *suppressions = TESTS[name]
    rpn = heads.faster_rcnn.head.rpn
    assert (rpn.test.per_level, rpn.test.most, rpn.test.iou) == proposals
    assert (rpn.train.per_level, rpn.train.most, rpn.train.iou) == (4000, 1000, 0.7)
    found = heads.faster_rcnn.head.roi_head.suppression, heads.atss.head.suppression
    assert [(each.iou, each.most) for each in found] == suppressions
    kind = SoftSuppression if "_vit_" in name else Suppression
    assert {type(instantiate(each)) for each in found} == {kind}


@pytest.mark.parametrize(
    "name", ["co_dino_5scale_lsj_r50_12ep", "co_dino_5scale_lsj_r50_lvis_12ep"]
)
def test_images_after_large_scale_jitter(name: str, tmp_path: Path):
    cfg = recipe(name)
    cfg.model.preprocessing.side = 64
    Image.new("RGB", (40, 30), "red").save(tmp_path / "red.png")
    box = {"bbox": [5, 5, 30, 20], "bbox_mode": BoxMode.XYWH_ABS, "category_id": 1}
    box["segmentation"] = [[5, 5, 35, 5, 35, 25, 5, 25]]
    entry = {"file_name": str(tmp_path / "red.png"), "annotations": [box]}
    mapped = instantiate(cfg.dataloader.train.mapper)(entry, others=[entry])
    assert mapped["image"].shape == (3, 64, 64)
    assert mapped["instances"].image_size == (64, 64)
    assert not mapped["instances"].has("gt_masks")  # the model has no use for them
    tested = instantiate(cfg.dataloader.test.mapper)(entry)
    assert tested["image"].shape == (3, 48, 64)  # the model puts it into the square
    batch = instantiate(cfg.model.preprocessing)([mapped["image"], tested["image"]])
    assert batch.frames == [(64, 64)] * 2 and not batch.padding.any()


def test_the_rate_of_a_plain_transformer_falls_towards_its_patches(shrink):
    cfg = shrink(recipe("co_dino_5scale_vit_large_12ep"))
    cfg.data.num_classes = 3
    model = instantiate(cfg.model)
    groups = build_optimizer(cfg.optimizer, model).param_groups
    rates = {id(p): group["lr"] / 5e-5 for group in groups for p in group["params"]}
    named = dict(model.named_parameters())
    assert rates[id(named["backbone.net.blocks.3.norm1.weight"])] == pytest.approx(0.8)
    assert rates[id(named["backbone.net.blocks.0.norm1.weight"])] == pytest.approx(0.8**4)
    assert rates[id(named["backbone.net.pos_embed"])] == pytest.approx(0.8**25)
    assert rates[id(named["backbone.norm.weight"])] == 1.0
    assert rates[id(named["decoder.norm.weight"])] == 1.0


@pytest.mark.parametrize("contender", ["atss", "atss_faster_rcnn"])
def test_a_step_of_each_contender(contender, make_batch):
    cfg = recipe("compare_schemes_shapes")
    cfg.data.num_classes = 3
    cfg.model.schemes = cfg.contenders[contender]
    torch.manual_seed(0)
    losses = instantiate(cfg.model)(make_batch([2, 0]))
    assert all(loss.isfinite() for loss in losses.values())
    heads = {"atss", "faster_rcnn"} if "rcnn" in contender else {"atss"}
    assert {f"loss_class_{head}_0" for head in heads} <= set(losses)
