"""Backbones of Detectron2 in a detector: trained on images of any size, saved, and used again."""

import hdetr_d2  # noqa: F401

from pathlib import Path

import pytest
import torch
from detectron2.config import instantiate

from hdetr_d2._detectron2 import active
from hdetr_d2.engine.config import config_text
from hdetr_d2.inference import Predictor

pytestmark = pytest.mark.skipif(active() == "fallback", reason="the stand-in has no backbones")

MODELING = "detectron2.modeling"
RESNET = {
    "_target_": f"{MODELING}.ResNet",
    "stem": {"_target_": f"{MODELING}.backbone.BasicStem", "norm": "BN"},
    "stages": {
        "_target_": f"{MODELING}.backbone.resnet.ResNet.make_default_stages",
        "depth": 18,
        "norm": "BN",
    },
    "out_features": ["res3", "res4", "res5"],
}
VIT = {
    "_target_": f"{MODELING}.ViT",
    **dict(img_size=128, embed_dim=16, depth=2, num_heads=2, window_size=4),
    **dict(window_block_indexes=[0], use_rel_pos=True, out_feature="last_feat"),
}
# Each with the names of its maps, and the size to which a batch of 61 x 90 pixels is padded.
NODES = {
    "ResNet": (RESNET, ["res3", "res4", "res5"], (61, 90)),
    "FPN": (
        {
            "_target_": f"{MODELING}.FPN",
            "bottom_up": RESNET,
            "in_features": "${.bottom_up.out_features}",
            "out_channels": 8,
            "top_block": {"_target_": f"{MODELING}.backbone.fpn.LastLevelMaxPool"},
        },
        ["p3", "p4", "p5", "p6"],
        (64, 96),
    ),
    "ViTDet": (
        {
            "_target_": f"{MODELING}.SimpleFeaturePyramid",
            "net": VIT,
            "in_feature": "${.net.out_feature}",
            **dict(out_channels=8, scale_factors=[2.0, 1.0, 0.5], norm="LN", square_pad=128),
        },
        ["p3", "p4", "p5"],
        (128, 128),
    ),
    "Swin": (
        {
            "_target_": f"{MODELING}.SwinTransformer",
            **dict(embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=4),
            "out_indices": [1, 2, 3],
        },
        ["p1", "p2", "p3"],
        (61, 90),
    ),
}


@pytest.mark.parametrize("name", NODES)
def test_a_model_is_trained_and_used_afterwards(
    tiny_config, make_batch, tmp_path: Path, name: str
) -> None:
    node, maps, size = NODES[name]
    cfg = tiny_config()
    cfg.model.backbone = node
    cfg.model.neck.in_shapes = None
    mapper = {"_target_": "hdetr_d2.data.mapper.DetrMapper", "is_train": False}
    cfg.dataloader = {"test": {"mapper": mapper}}
    model = instantiate(cfg.model)
    assert list(model.neck.in_channels) == maps
    batch = make_batch([2, 0], size=(61, 90))
    assert model.preprocessing([item["image"] for item in batch]).tensor.shape[-2:] == size
    sum(model(batch).values()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []
    metadata = {"config": config_text(cfg), "class_names": ["a", "b", "c"]}
    torch.save({"model": model.state_dict(), "metadata": metadata}, tmp_path / "model.pth")
    predictor = Predictor(tmp_path / "model.pth", device="cpu")
    with torch.no_grad():
        expected, found = model.eval()(batch[:1]), predictor.detector.model(batch[:1])
    boxes = [output["instances"].pred_boxes.tensor for (output,) in (expected, found)]
    torch.testing.assert_close(*boxes)
