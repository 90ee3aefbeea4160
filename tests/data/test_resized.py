"""What a resize leaves of objects, by numbers worked out by hand."""

import logging
from pathlib import Path

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import BoxMode
from PIL import Image
from torchvision.transforms import v2

from hdetr_d2.data.loader import build_train_loader
from hdetr_d2.data.mapper import DetrMapper
from hdetr_d2.data.resized import describe_lost, resized
from hdetr_d2.data.transforms import LargeScaleJitter, RandomShortSide, ResizeOrCrop


def entry(width: int, height: int, *boxes: list[float], **more: object) -> dict:
    mode = BoxMode.XYWH_ABS
    objects = [{"bbox": box, "bbox_mode": mode, "category_id": 0} for box in boxes]
    return {"width": width, "height": height, "image_id": 7, "annotations": objects, **more}


WIDE = entry(2400, 120, [10, 10, 6, 6], [2390, 0, 100, 9], [50, 50, 30, 2])


def test_sides_and_areas_after_a_resize() -> None:
    crowd = {"bbox": [0, 0, 9, 9], "bbox_mode": BoxMode.XYWH_ABS, "iscrowd": 1}
    dicts = [WIDE, entry(100, 50), entry(50, 100, [0, 0, 20, 10], image_id=8)]
    dicts[1]["annotations"].append(crowd)
    found = resized(dicts, RandomShortSide([60], 320))
    # 2400 x 120 becomes 320 x 16, and 50 x 100 becomes 60 x 120. The second box is cut to 10 x 9.
    assert found.scales.ravel().tolist() == pytest.approx([2 / 15] * 6 + [1.2] * 2)
    assert found.sides.tolist() == [[6, 6], [10, 9], [30, 2], [20, 10]]
    assert found.areas()[3] == pytest.approx(24 * 12)
    assert found.lost().tolist() == [True, False, True, False]


def test_the_size_that_keeps_them_is_the_least_that_does() -> None:
    text = describe_lost([WIDE], RandomShortSide([60], 320))
    assert text.startswith("2 of 3 objects (in image 7) are less than a pixel wide or high")
    # The box that is 2 pixels high needs half of the image.
    assert "(2400 x 120 becomes 320 x 16)" in text
    assert "shorter side of at least 60 and a longer one of at least 1200 pixels" in text
    assert describe_lost([WIDE], RandomShortSide([60], 1200)) is None
    assert describe_lost([WIDE], RandomShortSide([59], 1200)) is not None
    assert describe_lost([WIDE], RandomShortSide([60], 1189)) is not None  # 59.45 rows


def test_images_are_named_and_counted_once() -> None:
    dicts = [{**WIDE, "image_id": i} for i in range(9)] + [entry(100, 100, [0, 0, 50, 50])]
    text = describe_lost(dicts, RandomShortSide([60], 320))
    assert text.startswith("18 of 28 objects (in image 0, 1, 2 and 6 more)")


def test_a_box_without_a_pixel_in_its_file_asks_for_no_larger_images() -> None:
    text = describe_lost([entry(640, 480, [5, 5, 0.5, 9])], RandomShortSide([480], None))
    assert text.endswith("they have no pixel in their files either")


@pytest.mark.parametrize(
    "transform",
    [
        v2.Compose([v2.RandomHorizontalFlip(0.5), ResizeOrCrop([480], 640)]),
        LargeScaleJitter(640, [1.0, 1.0]),
        v2.Resize([480, 640]),
    ],
)
def test_what_a_crop_may_cut_is_not_lost(transform: v2.Transform) -> None:
    # A pixel on an image that keeps its size stays, wherever a window of the image ends.
    corners = entry(640, 480, [0, 0, 4, 1], [639, 479, 1, 1], [320, 240, 1, 1])
    assert describe_lost([corners], transform) is None


def test_what_cannot_be_told_is_not_told() -> None:
    assert describe_lost([entry(100, 50)], RandomShortSide([4])) is None
    assert describe_lost([], RandomShortSide([4])) is None
    assert resized([{"file_name": "a.png"}], RandomShortSide([4])) is None
    assert resized([WIDE], lambda sample: {"image": sample["image"]}) is None


def test_training_says_at_the_start_what_it_will_not_learn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.new("RGB", (2400, 120)).save(tmp_path / "wide.png")
    wide = {**WIDE, "file_name": str(tmp_path / "wide.png")}
    DatasetCatalog.register("wide", lambda: [wide])
    MetadataCatalog.get("wide").set(thing_classes=["a"])
    options = {"total_batch_size": 1, "num_workers": 0}
    for sizes in ([60, 320], [120, 2400]):
        caplog.clear()
        mapper = DetrMapper(augmentations=[RandomShortSide(sizes[:1], sizes[1])])
        loader = build_train_loader(dataset="wide", mapper=mapper, **options)
        (learned,) = next(iter(loader))
        told = [message for message in caplog.messages if "less than a pixel" in message]
        assert len(told) == (sizes[1] == 320)
        assert len(learned["instances"]) == (1 if told else 3)
    with caplog.at_level(logging.WARNING):
        build_train_loader(dataset="wide", mapper=lambda entry: entry, **options)
    assert not [message for message in caplog.messages if "pixel" in message]
