"""The augmentations on boxes and masks with numbers worked out by hand."""

from collections.abc import Sequence

import pytest
import torch
from torchvision import tv_tensors

from hdetr_d2.data.transforms import (
    PADDING,
    BoxesFromMasks,
    ColorJitter,
    CropOrPad,
    LargeScaleJitter,
    RandomShortSide,
    RandomSizeCrop,
    RandomTile,
    ResizeOrCrop,
)


def sample(height: int, width: int, boxes: Sequence[Sequence[float]] = ()) -> dict:
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = True
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return {
        "image": tv_tensors.Image(torch.randint(0, 256, (3, height, width), dtype=torch.uint8)),
        "boxes": tv_tensors.BoundingBoxes(corners, format="XYXY", canvas_size=(height, width)),
        "labels": torch.arange(len(boxes)),
        "masks": tv_tensors.Mask(masks),
    }


def test_a_tile_has_the_centre_of_an_object_in_it() -> None:
    boxes = [(0, 0, 3, 3), (97, 57, 100, 60)]
    tile, seen = RandomTile(20), set()
    for _ in range(60):
        params = tile.make_params([sample(60, 100, boxes)["boxes"]])
        assert (params["height"], params["width"]) == (20, 20)
        assert 0 <= params["top"] <= 40 and 0 <= params["left"] <= 80
        first = params["top"] <= 1 and params["left"] <= 1
        last = params["top"] + 20 > 58 and params["left"] + 20 > 98
        assert first != last
        seen.add(first)
    assert seen == {False, True}


def test_a_tile_moves_boxes_and_masks_with_it() -> None:
    tile = RandomTile(20)
    cropped = tile(sample(60, 100, [(50, 30, 60, 38)]))
    assert cropped["image"].shape == (3, 20, 20)
    x0, y0, x1, y1 = cropped["boxes"][0].tolist()  # as much of it as is in the tile
    assert 5 * 4 <= (x1 - x0) * (y1 - y0) <= 10 * 8
    assert int(cropped["masks"].sum()) == (x1 - x0) * (y1 - y0)


def test_tiles_of_images_without_objects_and_of_small_ones() -> None:
    tops = {RandomTile(20).make_params([sample(22, 30)["image"]])["top"] for _ in range(40)}
    assert tops == {0, 1, 2}
    assert RandomTile(20)(sample(12, 30, [(1, 1, 5, 5)]))["image"].shape == (3, 12, 20)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((480, 640), (800, 1067)), ((427, 640), (800, 1199)), ((300, 1200), (333, 1333))],
)
def test_the_short_side_is_met_and_the_long_side_bounded(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    resize = RandomShortSide([800], 1333)
    assert resize(sample(*size))["image"].shape[-2:] == expected
    assert resize(sample(*size[::-1]))["image"].shape[-2:] == expected[::-1]


def test_every_short_side_is_met_exactly() -> None:
    resize = RandomShortSide([800], None)
    images = (tv_tensors.Image(torch.empty(1, height, 700)) for height in range(200, 700))
    assert {resize.make_params([image])["size"][0] for image in images} == {800}


def test_boxes_and_masks_are_resized_with_the_image() -> None:
    resized = RandomShortSide([60], None)(sample(30, 40, [(10, 6, 20, 12)]))
    assert resized["boxes"].tolist() == [[20, 12, 40, 24]]
    assert resized["masks"].shape == (1, 60, 80)
    assert int(resized["masks"].sum()) == 20 * 12


def test_a_line_of_pixels_stays_at_least_one_pixel() -> None:
    assert RandomShortSide([4], 8)(sample(1, 100))["image"].shape == (3, 1, 8)
    assert LargeScaleJitter(16)(sample(1, 100))["image"].shape == (3, 16, 16)


def test_crop_sides_lie_in_their_range_or_are_the_images() -> None:
    sizes = {tuple(RandomSizeCrop(10, 12)(sample(11, 40))["image"].shape[-2:]) for _ in range(60)}
    assert {h for h, _ in sizes} == {10, 11}
    assert {w for _, w in sizes} == {10, 11, 12}
    assert RandomSizeCrop(10, 12)(sample(5, 6))["image"].shape == (3, 5, 6)


def test_detr_policy_ends_at_one_of_its_sides() -> None:
    policy = ResizeOrCrop([32, 40], 80, medium_sides=[30, 36], crop=[20, 24])
    shapes = [policy(sample(48, 64))["image"].shape[-2:] for _ in range(60)]
    assert {min(shape) for shape in shapes} == {32, 40}
    assert len({max(shape) / min(shape) for shape in shapes}) > 2  # some were cropped


def test_padding_is_grey_at_right_and_bottom_and_empty_in_masks() -> None:
    padded = CropOrPad(50)(sample(30, 40, [(0, 0, 40, 30)]))
    assert padded["image"].shape == (3, 50, 50)
    assert (padded["image"][:, 30:] == PADDING).all()
    assert (padded["image"][:, :, 40:] == PADDING).all()
    assert int(padded["masks"].sum()) == 30 * 40
    assert padded["boxes"].tolist() == [[0, 0, 40, 30]]


def test_what_is_too_long_is_cropped_and_too_short_padded() -> None:
    assert CropOrPad(20)(sample(100, 10))["image"].shape == (3, 20, 20)


def test_large_scale_jitter_scales_boxes_with_the_image() -> None:
    jitter = LargeScaleJitter(64, [0.5, 0.5])
    jittered = jitter(sample(40, 80, [(20, 10, 40, 30)]))
    assert jittered["image"].shape == (3, 64, 64)
    # The longer side becomes 32: a factor of 0.4.
    torch.testing.assert_close(
        jittered["boxes"].as_subclass(torch.Tensor), torch.tensor([[8.0, 4, 16, 12]])
    )


def test_large_scale_jitter_draws_boxes_around_masks() -> None:
    jitter = LargeScaleJitter(40, [1.0, 1.0])
    before = sample(40, 40, [(10, 10, 30, 30), (0, 0, 4, 4), (20, 20, 30, 30)])
    before["masks"][0, 12:] = False  # two rows are left
    before["masks"][1] = False
    assert jitter(before)["boxes"].tolist() == [[10, 10, 30, 12], [0, 0, 4, 4], [20, 20, 30, 30]]
    centred = BoxesFromMasks()(
        {
            "boxes": tv_tensors.BoundingBoxes(
                [[20.0, 20, 20, 20]], format="CXCYWH", canvas_size=(40, 40)
            ),
            "masks": tv_tensors.Mask(before["masks"][:1]),
        }
    )
    assert centred["boxes"].tolist() == [[20, 11, 20, 2]]
    del before["masks"]
    assert jitter(before)["boxes"][0].tolist() == [10, 10, 30, 30]


def test_colour_jitter_changes_only_pixels() -> None:
    before = sample(8, 8, [(1, 2, 3, 4)])
    after = ColorJitter(p=1.0)(before)
    assert (after["image"] != before["image"]).any()
    assert (after["boxes"] == before["boxes"]).all()
    assert ColorJitter(p=0.0)(before)["image"].equal(before["image"])


def test_images_without_objects_pass_everywhere() -> None:
    for transform in (
        ResizeOrCrop([32], 64),
        LargeScaleJitter(32),
        CropOrPad(8),
        ColorJitter(p=1.0),
    ):
        transformed = transform(sample(30, 40))
        assert transformed["boxes"].shape == (0, 4)
        assert len(transformed["masks"]) == 0
