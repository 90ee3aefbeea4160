"""Images of different sizes as one tensor, and in a grey square."""

import pytest
import torch
from detectron2.config import instantiate

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
