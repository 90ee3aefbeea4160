"""Images of different sizes as one tensor, and in a grey square."""

import pytest
import torch
from detectron2.config import instantiate
from detectron2.layers import ShapeSpec
from detectron2.modeling import Backbone
from torch.nn import functional as F

from hdetr_d2.errors import UserError
from hdetr_d2.modeling import GreySquare, Preprocessing

MEAN, STD = [10.0, 20.0, 30.0], [1.0, 2.0, 5.0]


def images():
    return [torch.full((3, 2, 3), 40, dtype=torch.uint8), torch.full((3, 4, 1), 50.0)]


def test_padding_is_zero_after_the_normalisation():
    batch = Preprocessing(pixel_mean=MEAN, pixel_std=STD, size_divisibility=4)(images()[:1])
    assert batch.tensor.shape == (1, 3, 4, 4) and batch.sizes == batch.frames == [(2, 3)]
    assert batch.tensor[0, :, 0, 0].tolist() == [30.0, 10.0, 2.0]
    inside = torch.zeros(4, 4, dtype=torch.bool)
    inside[:2, :3] = True
    assert batch.padding[0].equal(~inside)
    assert (batch.tensor[0, :, ~inside] == 0).all()


def test_a_grey_square_is_part_of_the_image():
    batch = GreySquare(pixel_mean=MEAN, pixel_std=STD, side=4, grey=20)(images()[:1])
    assert batch.tensor.shape == (1, 3, 4, 4)
    assert batch.sizes == [(2, 3)] and batch.frames == [(4, 4)]
    assert not batch.padding.any()
    assert batch.tensor[0, :, 0, 0].tolist() == [30.0, 10.0, 2.0]
    assert batch.tensor[0, :, 3, 3].tolist() == [10.0, 0.0, -2.0]


@pytest.mark.parametrize("make", [Preprocessing, lambda **kw: GreySquare(side=4, **kw)])
def test_a_batch_of_two_sizes(make):
    batch = make(pixel_mean=MEAN, pixel_std=STD)([images()[0], images()[1].to(torch.uint8)])
    assert batch.tensor.shape == (2, 3, 4, 3 if make is Preprocessing else 4)
    assert (batch.tensor[1, 0, :, 0] == 40).all()


def test_an_image_that_does_not_fit():
    with pytest.raises(UserError, match="a side of 4 pixels .* square of .*side=3"):
        GreySquare(pixel_mean=MEAN, pixel_std=STD, side=3)(images())


def test_a_model_learns_and_finds_boxes_relative_to_the_square(tiny_config, make_batch):
    """An image in a square is the same as that image with the grey around it."""
    cfg = tiny_config()
    cfg.model.preprocessing.update(_target_=GreySquare, side=96)
    cfg.model.preprocessing.pop("size_divisibility", None)
    model = instantiate(cfg.model)
    (small,) = make_batch([3])  # 64 x 96
    grey = torch.full((3, 96, 96), 114, dtype=torch.uint8)
    grey[:, :64] = small["image"]
    instances = type(small["instances"])((96, 96), **small["instances"].get_fields())
    large = {**small, "image": grey, "instances": instances, "height": 192}
    torch.testing.assert_close(model([small]), model([large]))
    model.eval()
    with torch.no_grad():
        own, whole = (model([item])[0]["instances"] for item in (small, large))
    assert own.image_size == (128, 192) and whole.image_size == (192, 192)
    upper = whole.pred_boxes.tensor[:, 1] < 128  # the others lie in the grey
    expected = whole.pred_boxes.tensor[upper].clone()
    expected[:, 3] = expected[:, 3].clamp(max=128)
    torch.testing.assert_close(own.pred_boxes.tensor, expected, rtol=1e-4, atol=1e-3)


def test_masks_end_where_the_image_does(tiny_config, make_batch):
    """Those of an image in a square are those of the square, without the grey."""
    cfg = tiny_config("common/models/deformable_detr_pp_masks.py")
    cfg.model.preprocessing.update(_target_=GreySquare, side=96)
    cfg.model.preprocessing.pop("size_divisibility", None)
    model = instantiate(cfg.model)
    (small,) = make_batch([3])  # 64 x 96
    assert all(loss.isfinite() for loss in model([small]).values())
    grey = torch.full((3, 96, 96), 114, dtype=torch.uint8)
    grey[:, :64] = small["image"]
    model.eval()
    with torch.no_grad():
        whole = model([{"image": grey}])[0]["instances"]
        own = model([{"image": small["image"]}])[0]["instances"]
    masks = dict(zip(whole.pred_queries.tolist(), whole.pred_masks[:, :64], strict=True))
    assert len(own) and own.pred_masks.any()
    for query, mask in zip(own.pred_queries.tolist(), own.pred_masks, strict=True):
        assert mask.shape == (64, 96) and (mask != masks[query]).float().mean() < 1e-3


class Needy(Backbone):
    """A backbone with one map, and what it asks for in Detectron2's two ways."""

    def __init__(self, constraints: dict[str, int], divisibility: int = 0) -> None:
        super().__init__()
        self.constraints, self.divisibility = constraints, divisibility
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape[-2:]))
        return {"p3": F.avg_pool2d(x, 8)}

    def output_shape(self):
        return {"p3": ShapeSpec(channels=3, stride=8)}

    @property
    def size_divisibility(self):
        return self.divisibility

    @property
    def padding_constraints(self):
        return self.constraints


class FailingSwin(Needy):
    @property
    def size_divisibility(self):
        return self._size_divisibility  # which nothing sets: so does Detectron2's own Swin


@pytest.mark.parametrize(
    ("backbone", "own", "size"),
    [
        (Needy({}), 1, (4, 3)),
        (Needy({}, divisibility=0), 3, (6, 3)),
        (Needy({}, divisibility=8), 1, (8, 8)),
        (Needy({"size_divisibility": 5}, divisibility=8), 1, (5, 5)),  # as in ImageList
        (Needy({"size_divisibility": 4}), 6, (12, 12)),  # both hold
        (Needy({"size_divisiblity": 4}), 1, (4, 4)),  # as Detectron2's ViTDet spells it
        (Needy({"square_size": 7}), 1, (7, 7)),
        (Needy({"square_size": 0}, divisibility=2), 1, (4, 4)),
        (Needy({"square_size": 7, "size_divisibility": 5}), 1, (10, 10)),
        (FailingSwin({}), 1, (4, 3)),
    ],
)
def test_a_batch_keeps_to_what_the_backbone_needs(backbone, own: int, size: tuple[int, int]):
    preprocessing = Preprocessing(pixel_mean=MEAN, pixel_std=STD, size_divisibility=own)
    preprocessing.keep_to(backbone)
    batch = preprocessing(images())
    assert batch.tensor.shape[-2:] == size and batch.padding.shape[1:] == size
    assert (~batch.padding).sum((1, 2)).tolist() == [6, 4]  # 2 x 3 and 4 x 1
    assert batch.sizes == batch.frames == [(2, 3), (4, 1)]


def test_an_image_that_is_larger_than_the_backbones_square():
    preprocessing = Preprocessing(pixel_mean=MEAN, pixel_std=STD)
    preprocessing.keep_to(Needy({"square_size": 3}))
    with pytest.raises(UserError, match="a side of 4 pixels .* square of 3 that the backbone"):
        preprocessing(images())


def test_a_grey_square_that_the_backbone_does_not_take():
    grey = GreySquare(pixel_mean=MEAN, pixel_std=STD, side=96)
    for fine in (Needy({}, 32), Needy({"square_size": 96})):
        grey.keep_to(fine)
    with pytest.raises(UserError, match="side=96 must be a multiple of 64 for this backbone"):
        grey.keep_to(Needy({}, 64))
    with pytest.raises(UserError, match="side=96 must be 224 for this backbone"):
        grey.keep_to(Needy({"square_size": 224}))


def test_a_detector_pads_for_its_backbone(tiny_config, make_batch):
    """Padding that a backbone asks for is that of the option: boxes and losses are the same."""
    cfg = tiny_config()
    cfg.model.neck.update(in_shapes=[3], in_features=["p3"], num_levels=2)
    batch = make_batch([2, 1], size=(61, 90))
    found = []
    for needs, option in [(Needy({}, 32), 1), (Needy({}), 32)]:
        cfg.model.preprocessing.size_divisibility = option
        torch.manual_seed(0)
        parts = {key: value for key, value in cfg.model.items() if key != "backbone"}
        model = instantiate({**parts, "backbone": needs})
        found.append(model(batch))
        assert needs.shapes == [(64, 96)]
    torch.testing.assert_close(*found)
