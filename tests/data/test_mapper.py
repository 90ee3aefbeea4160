"""What the model gets, which objects stay, and randomness from (seed, position) alone."""

from pathlib import Path

import numpy as np
import pycocotools.mask as mask_utils
import pytest
import torch
from detectron2.structures import BoxMode
from PIL import Image
from torchvision.transforms import v2

from hdetr_d2.data import CopyPaste, DetrMapper, During, MixUp, Mosaic
from hdetr_d2.data.sample import Sample
from hdetr_d2.data.transforms import LargeScaleJitter, RandomShortSide, RandomSizeCrop
from hdetr_d2.errors import UserError
from hdetr_d2.pixels.images import BadImageError
from hdetr_d2.utils.random_state import stream_seed


def annotation(box: list[float], label: int = 0, **more: object) -> dict:
    return {"bbox": box, "bbox_mode": BoxMode.XYWH_ABS, "category_id": label, "iscrowd": 0, **more}


@pytest.fixture
def entry(tmp_path: Path) -> dict:
    """A picture of 40 x 30 with two objects."""
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    objects = [annotation([2, 3, 10, 20], 1), annotation([20, 5, 15, 20], 0)]
    size = {"height": 30, "width": 40, "image_id": 9}
    return {"file_name": str(tmp_path / "image.png"), **size, "annotations": objects}


def test_the_input_of_the_model(entry: dict) -> None:
    mapped = DetrMapper(augmentations=[RandomShortSide([60], None)])(entry, 0)
    assert mapped["image"].shape == (3, 60, 80)
    assert type(mapped["image"]) is torch.Tensor
    assert mapped["image"].dtype == torch.uint8
    assert mapped["image"].is_contiguous()
    assert (mapped["height"], mapped["width"], mapped["image_id"]) == (30, 40, 9)
    assert "annotations" not in mapped
    instances = mapped["instances"]
    assert instances.image_size == (60, 80)
    assert instances.gt_boxes.tensor.tolist() == [[4, 6, 24, 46], [40, 10, 70, 50]]
    assert type(instances.gt_boxes.tensor) is torch.Tensor
    assert instances.gt_classes.tolist() == [1, 0]
    assert not instances.has("gt_masks")


def test_a_tile_is_what_the_augmentations_get(entry: dict) -> None:
    mapper = DetrMapper(augmentations=[RandomShortSide([40], None)], tile=20)
    seen = [mapper(entry, position) for position in range(20)]
    assert {each["image"].shape for each in seen} == {(3, 40, 40)}
    assert {each["height"] for each in seen} == {30}  # of the file
    assert all(len(each["instances"]) for each in seen)
    assert len({each["image"].float().mean().item() for each in seen}) > 10
    predicting = DetrMapper(augmentations=[RandomShortSide([40], None)], tile=20, is_train=False)
    assert predicting(entry)["image"].shape == (3, 40, 53)


def test_the_entry_stays_as_it_is(entry: dict) -> None:
    before = repr(entry)
    DetrMapper(augmentations=[v2.RandomHorizontalFlip(1.0)])(entry, 0)
    assert repr(entry) == before


def test_inference_has_no_instances(entry: dict) -> None:
    mapped = DetrMapper(is_train=False)(entry)
    assert "instances" not in mapped
    assert "annotations" not in mapped


def test_crowds_and_boxes_without_area_are_left_out(entry: dict) -> None:
    entry["annotations"] += [
        annotation([0, 0, 5, 5], iscrowd=1),
        annotation([5, 5, 0, 3]),
        annotation([50, 5, 4, 4]),  # outside the image
        annotation([-5, -5, 10, 10], 2),  # partly outside
    ]
    mapped = DetrMapper()(entry, 0)
    assert mapped["dropped_boxes"] == 2
    assert mapped["instances"].gt_classes.tolist() == [1, 0, 2]
    assert mapped["instances"].gt_boxes.tensor[2].tolist() == [0, 0, 5, 5]


def test_objects_that_no_crop_takes_are_counted(entry: dict) -> None:
    entry["annotations"] = [annotation([5, 5, 6, 6]), annotation([20, 5, 1, 1])]
    smaller = RandomShortSide([15], None)  # half as large
    mapped = DetrMapper(augmentations=[smaller])(entry, 0)
    assert (len(mapped["instances"]), mapped["dropped_boxes"]) == (1, 1)
    # Fractions of the image, taken for pixels: lost as they are, and not after a crop.
    entry["annotations"] = [annotation([0.2, 0.3, 0.1, 0.2]) for _ in range(3)]
    assert DetrMapper()(entry, 0)["dropped_boxes"] == 3
    entry["annotations"] = [annotation([0, 0, 3, 3]), annotation([37, 27, 3, 3])]
    cropped = [DetrMapper(augmentations=[RandomSizeCrop(6, 6)])(entry, i) for i in range(20)]
    assert {mapped["dropped_boxes"] for mapped in cropped} == {0}


def test_a_mask_without_a_pixel_is_counted_before_any_crop(entry: dict) -> None:
    outside = [[50, 50, 60, 50, 60, 60]]
    whole = [[2, 3, 12, 3, 12, 23, 2, 23]]
    entry["annotations"] = [
        annotation([2, 3, 10, 20], segmentation=whole),
        annotation([20, 5, 15, 20], segmentation=outside),
    ]
    mapped = DetrMapper(with_masks=True)(entry, 0)
    assert (len(mapped["instances"]), mapped["dropped_boxes"]) == (1, 1)


def test_an_image_without_objects(entry: dict) -> None:
    entry["annotations"] = []
    instances = DetrMapper(with_masks=True)(entry, 0)["instances"]
    assert instances.gt_boxes.tensor.shape == (0, 4)
    assert instances.gt_classes.dtype == torch.int64
    assert instances.gt_masks.tensor.shape == (0, 30, 40)


def test_objects_outside_the_crop_are_left_out_and_the_rest_is_clipped(entry: dict) -> None:
    mapper = DetrMapper(augmentations=[RandomSizeCrop(6, 6)])
    seen = [mapper(entry, position)["instances"] for position in range(40)]
    assert {len(instances) for instances in seen} == {0, 1}
    boxes = torch.cat([instances.gt_boxes.tensor for instances in seen])
    assert boxes.min() >= 0
    assert boxes.max() <= 6
    assert (boxes[:, 2:] - boxes[:, :2]).min() >= 1


def rle(counts_as_list: bool) -> dict:
    """The upper half of an image of 30 x 40, in a column-wise run-length code."""
    mask = np.zeros((30, 40), dtype=np.uint8, order="F")
    mask[:15] = 1
    if counts_as_list:
        return {"size": [30, 40], "counts": [0, *([15] * 80)]}
    code = mask_utils.encode(mask)
    return {"size": [30, 40], "counts": code["counts"].decode("ascii")}


@pytest.mark.parametrize(
    "segmentation",
    [[[0, 0, 40, 0, 40, 15, 0, 15]], rle(counts_as_list=False), rle(counts_as_list=True)],
    ids=["polygon", "compressed", "uncompressed"],
)
def test_masks_from_every_kind_of_segmentation(entry: dict, segmentation: object) -> None:
    entry["annotations"] = [annotation([0, 0, 40, 15], segmentation=segmentation)]
    masks = DetrMapper(with_masks=True)(entry, 0)["instances"].gt_masks.tensor
    assert masks.dtype == torch.bool
    assert masks[0].sum(1).tolist() == [40] * 15 + [0] * 15


def test_masks_are_flipped_with_the_image(entry: dict) -> None:
    entry["annotations"] = [annotation([0, 0, 10, 30], segmentation=[[0, 0, 10, 0, 10, 30, 0, 30]])]
    mapper = DetrMapper(augmentations=[v2.RandomHorizontalFlip(1.0)], with_masks=True)
    instances = mapper(entry, 0)["instances"]
    assert instances.gt_masks.tensor[0].any(0).tolist() == [False] * 30 + [True] * 10
    assert instances.gt_boxes.tensor.tolist() == [[30, 0, 40, 30]]


def test_a_missing_segmentation_is_named(entry: dict) -> None:
    with pytest.raises(UserError, match=r"image\.png \(image 9\) has an object without a segment"):
        DetrMapper(with_masks=True)(entry, 0)


def test_another_size_than_stated_is_named(entry: dict) -> None:
    with pytest.raises(BadImageError, match=r"image\.png is 40 x 30"):
        DetrMapper()({**entry, "width": 41}, 0)


def test_randomness_comes_from_seed_and_position_alone(entry: dict) -> None:
    def image(seed: int, position: int) -> torch.Tensor:
        mapper = DetrMapper(augmentations=[RandomSizeCrop(8, 30)], seed=seed)
        torch.rand(position)  # whatever else was drawn before
        return mapper(entry, position)["image"]

    assert image(0, 3).equal(image(0, 3))
    assert not image(0, 3).equal(image(0, 4))
    assert not image(0, 3).equal(image(1, 3))


def test_the_random_state_is_left_alone(entry: dict) -> None:
    before = torch.get_rng_state()
    DetrMapper(augmentations=[RandomSizeCrop(8, 30)])(entry, 3)
    assert torch.get_rng_state().equal(before)


def test_seeds_of_the_stream_do_not_collide() -> None:
    seeds = {stream_seed(s, p, u) for s in range(10) for p in range(100) for u in range(2)}
    assert len(seeds) == 2000
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_an_augmentation_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="augmentations must be transforms, not 5"):
        DetrMapper(augmentations=[v2.RandomHorizontalFlip(), 5])


def half_seen(tmp_path: Path) -> dict:
    """A picture of 40 x 30 with an L: a column at the left, and a foot to the right."""
    Image.new("RGB", (40, 30), "red").save(tmp_path / "l.png")
    shape = [[2, 0, 6, 0, 6, 26, 38, 26, 38, 30, 2, 30]]
    objects = [annotation([2, 0, 36, 30], 1, segmentation=shape)]
    size = {"height": 30, "width": 40, "image_id": 9}
    return {"file_name": str(tmp_path / "l.png"), **size, "annotations": objects}


def test_large_scale_jitter_draws_boxes_around_what_is_left_of_masks(tmp_path: Path) -> None:
    entry = half_seen(tmp_path)
    # Twice as large, 80 x 60, and a window of 40 x 40 of it: the foot lies in rows 52 to 59.
    jitter = [LargeScaleJitter(40, [2.0, 2.0])]
    plain, cutting = (
        DetrMapper(augmentations=jitter, copy_paste=paste) for paste in (None, CopyPaste(p=0.0))
    )
    seen = [(plain(entry, i)["instances"], cutting(entry, i)["instances"]) for i in range(40)]
    widths = {
        tuple((each.gt_boxes.tensor[:, 2] - each.gt_boxes.tensor[:, 0]).tolist())
        for _, each in seen
    }
    # Where the window ends above the foot, the column of 8 pixels alone, or nothing, is left.
    assert (8.0,) in widths and () in widths
    for loose, tight in seen:
        assert len(tight) <= len(loose) == 1
        assert not tight.has("gt_masks")


def test_copy_paste_sends_masks_to_a_model_that_asks_for_them_only(entry: dict) -> None:
    square = [[0, 0, 8, 0, 8, 8, 0, 8]]
    entry["annotations"] = [annotation([0, 0, 8, 8], 1, segmentation=square)]
    pasting = CopyPaste(p=1.0, p_object=1.0)
    boxes, both = (
        DetrMapper(with_masks=masks, copy_paste=pasting)(entry, 0, [entry])["instances"]
        for masks in (False, True)
    )
    assert set(boxes.get_fields()) == {"gt_boxes", "gt_classes"}
    assert set(both.get_fields()) == {"gt_boxes", "gt_classes", "gt_masks"}
    assert boxes.gt_boxes.tensor.equal(both.gt_boxes.tensor)


def test_a_partner_gives_its_objects(entry: dict) -> None:
    square = [[0, 0, 8, 0, 8, 8, 0, 8]]
    entry["annotations"] = [annotation([0, 0, 8, 8], 1, segmentation=square)]
    partner = {**entry, "annotations": [annotation([0, 0, 8, 8], 2, segmentation=square)]}
    pasting = DetrMapper(with_masks=True, copy_paste=CopyPaste(p=1.0, p_object=1.0))
    # The partner's object covers the only one beneath.
    assert pasting(entry, 0, [partner])["instances"].gt_classes.tolist() == [2]
    assert pasting(entry, 0)["instances"].gt_classes.tolist() == [1]


def test_the_first_blend_that_happens_is_the_only_one(entry: dict) -> None:
    class Adds(MixUp):
        def __call__(self, sample: Sample, other: Sample) -> Sample:
            return {**sample, "labels": sample["labels"] + 10 * self.low}

    def when(start: float, end: float) -> During:
        return During(p=1.0, start=start, end=end, max_iter=4, total_batch_size=1)

    entry["annotations"] = [annotation([0, 0, 8, 8], 1)]
    blends = [Adds(when=when(0.5, 1.0), share=[1, 1]), Adds(when=when(0.0, 0.75), share=[2, 2])]
    mapper = DetrMapper(blends=blends)
    mapped = [mapper(entry, position, [entry]) for position in range(4)]
    assert [int(each["instances"].gt_classes[0]) for each in mapped] == [21, 21, 11, 11]
    # There is nothing to blend in.
    assert mapper(entry, 0)["instances"].gt_classes.tolist() == [1]


def test_mosaics_have_augmentations_of_their_own(entry: dict) -> None:
    entry["annotations"] = [annotation([0, 0, 8, 8], 1)]
    always = During(p=1.0, end=1.0, max_iter=1, total_batch_size=1)
    still = {"rotation": 0.0, "translation": [0, 0], "scale": [1, 1], "side": 30}
    small, large = RandomShortSide([20]), RandomShortSide([60])
    for given, shorter in ((None, 20), ([large], 60)):
        mosaic = Mosaic(when=always, augmentations=given, **still)
        mapper = DetrMapper(augmentations=[small], mosaic=mosaic)
        mapped = mapper(entry, 0, [entry] * 3)
        assert min(mapped["image"].shape[1:]) == shorter
        assert len(mapped["instances"]) == 4
        assert (mapped["height"], mapped["width"]) == (30, 40)
        # Three more are too few for a mosaic when only two are left.
        assert len(mapper(entry, 0, [entry] * 2)["instances"]) == 1


def test_the_pixels_of_mosaics_are_looked_at_too() -> None:
    always = During(p=1.0, end=1.0, max_iter=1, total_batch_size=1)
    scaling = [v2.ToDtype(torch.float32, scale=True)]
    with pytest.raises(UserError, match=r"mapper\.mosaic\.augmentations\.0 \(ToDtype\)"):
        DetrMapper(mosaic=Mosaic(when=always, augmentations=scaling))


def test_the_random_state_of_a_device_stays(entry: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """With num_workers=0 the mapper runs between the steps of the training."""
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    DetrMapper(augmentations=[RandomSizeCrop(8, 14)])(entry, 0)
    assert seeds == []


def test_samples_are_made_on_the_host_whatever_the_default_device(entry: dict) -> None:
    always = During(p=1.0, end=1.0, max_iter=1, total_batch_size=1)
    square = [[0, 0, 8, 0, 8, 8, 0, 8]]
    entry["annotations"] = [annotation([0, 0, 8, 8], 1, segmentation=square)]
    options = dict(
        with_masks=True,
        augmentations=[v2.RandomHorizontalFlip(), RandomSizeCrop(20, 60)],
        copy_paste=CopyPaste(p=1.0, p_object=1.0),
        mosaic=Mosaic(when=always, side=30),
    )
    expected = DetrMapper(**options)(entry, 0, [entry] * 9)
    with torch.device("meta"):  # a tensor there would have no values
        found = DetrMapper(**options)(entry, 0, [entry] * 9)
        assert torch.get_default_device().type == "meta"
    assert torch.equal(found["image"], expected["image"])
    boxes = [each["instances"].gt_boxes.tensor for each in (found, expected)]
    assert len(boxes[0]) and torch.equal(*boxes)
