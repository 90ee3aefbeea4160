import pytest
import torch
from detectron2.config import instantiate
from detectron2.layers import ShapeSpec

from hdetr_d2.modeling import SimpleFeaturePyramid, WindowedViT


def test_levels_halve_from_a_quarter_of_the_stride_on():
    shapes = {"res4": ShapeSpec(channels=16, stride=16)}
    neck = SimpleFeaturePyramid(in_shapes=shapes, in_features=["res4"], out_channels=32)
    levels = neck({"res4": torch.randn(2, 16, 3, 5)})
    sizes = [(12, 20), (6, 10), (3, 5), (2, 3), (1, 2)]
    assert [tuple(level.shape) for level in levels] == [(2, 32, *size) for size in sizes]
    assert neck.in_channels == {"res4": 16}
    sum(level.square().mean() for level in levels).backward()
    assert all(p.grad is not None for p in neck.parameters())


def test_levels_are_normed_over_their_channels():
    neck = SimpleFeaturePyramid(in_shapes=[8], in_features=["res4"], out_channels=32)
    for level in neck({"res4": torch.randn(1, 8, 4, 4)}):
        torch.testing.assert_close(level.mean(1), torch.zeros_like(level[:, 0]), atol=1e-5, rtol=0)


def test_other_numbers_of_levels():
    neck = SimpleFeaturePyramid(in_shapes=[8], in_features=["res4"], num_levels=2, finer=0)
    shapes = [level.shape[-1] for level in neck({"res4": torch.randn(1, 8, 4, 4)})]
    assert shapes == [4, 2]


def test_the_one_feature_follows_from_the_backbone():
    neck = SimpleFeaturePyramid(out_channels=32)
    neck.connect({"last_feat": ShapeSpec(channels=8, stride=16)})
    levels = neck({"last_feat": torch.randn(1, 8, 4, 4)})
    assert [level.shape[-1] for level in levels] == [16, 8, 4, 2, 1]
    with pytest.raises(ValueError, match=r"in_features=\['a', 'b'\] must be one"):
        shapes = {name: ShapeSpec(channels=8, stride=16) for name in "ab"}
        SimpleFeaturePyramid().connect(shapes)


def test_options_that_make_no_levels():
    with pytest.raises(ValueError, match="must be one feature"):
        SimpleFeaturePyramid(in_shapes=[8, 8], in_features=["res4", "res5"])
    with pytest.raises(ValueError, match="neck.finer=-1"):
        SimpleFeaturePyramid(in_shapes=[8], in_features=["res4"], finer=-1)


def test_a_detector_on_a_plain_transformer(tiny_config, make_batch):
    cfg = tiny_config("common/models/dino.py")
    cfg.model.backbone = dict(
        _target_=WindowedViT,
        name="eva02_tiny_patch14_224",
        window=2,
        global_every=2,
        pretrained=False,
        options=dict(embed_dim=32, depth=2, num_heads=2),
    )
    cfg.model.neck = dict(
        _target_=SimpleFeaturePyramid,
        in_shapes=[32],
        in_features=["res4"],
        out_channels=32,
        num_levels=5,
    )
    losses = instantiate(cfg.model)(make_batch([2, 0]))
    assert all(loss.isfinite() for loss in losses.values())
