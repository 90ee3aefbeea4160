"""Images of five channels on their way from files to the model's input, and what follows them."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from detectron2.config import LazyCall as L
from omegaconf import OmegaConf
from torchvision import tv_tensors
from torchvision.transforms import v2

from hdetr_d2.data import (
    ChannelJitter,
    ColorJitter,
    CopyPaste,
    DetrMapper,
    LargeScaleJitter,
    Mosaic,
    RandomShortSide,
    register_datasets,
)
from hdetr_d2.data.channel_statistics import channel_statistics
from hdetr_d2.data.check import check_data
from hdetr_d2.data.prepared_json import Rules
from hdetr_d2.data.shapes import Specification, draw_image, generate_shapes
from hdetr_d2.engine.channels import follow_channels
from hdetr_d2.errors import UserError
from hdetr_d2.modeling import Preprocessing, TimmBackbone
from hdetr_d2.pixels import BadImageError, MultiChannel
from hdetr_d2.pixels.resize_rule import ResizeRule

DEEP = {"channels": 5, "pixel_range": 65535}
SAMPLES = {"photometric": "minisblack", "planarconfig": "contig"}


@pytest.fixture
def values() -> np.ndarray:
    """[8, 10, 5], the extremes in the first pixel."""
    drawn = np.random.default_rng(0).integers(0, 65536, (8, 10, 5)).astype(np.uint16)
    drawn[0, 0] = [0, 1, 32767, 32768, 65535]
    return drawn


@pytest.fixture
def files(values: np.ndarray, tmp_path: Path) -> list[str]:
    """The same image in four layouts."""
    np.save(tmp_path / "a.npy", values)
    np.save(tmp_path / "b.npy", values.transpose(2, 0, 1))
    tifffile.imwrite(tmp_path / "c.tif", values, **SAMPLES)
    tifffile.imwrite(tmp_path / "d.tif", values.transpose(2, 0, 1).copy())
    return [str(tmp_path / name) for name in ("a.npy", "b.npy", "c.tif", "d.tif")]


def entry(path: str) -> dict:
    box = {"bbox": [1, 1, 8, 6], "bbox_mode": 0, "category_id": 0}
    half = [[1, 1, 8, 1, 8, 6, 1, 6]]
    annotations = [{**box, "segmentation": half}]
    return {"file_name": path, "height": 8, "width": 10, "annotations": annotations}


def test_16_bits_reach_the_model_as_they_are_in_the_file(files: list, values: np.ndarray) -> None:
    preprocessing = Preprocessing(pixel_mean=[0.0] * 5, pixel_std=[1.0] * 5)
    for is_train in (True, False):
        mapper = DetrMapper(is_train=is_train, **DEEP)
        images = [mapper(entry(path))["image"] for path in files]
        seen = preprocessing(images).tensor  # [B, 5, 8, 10]
        assert seen.dtype == torch.float32
        levels = (seen.double() * 257).round().permute(0, 2, 3, 1).numpy()
        assert (levels == values).all()


def test_a_file_of_other_channels_is_named(files: list) -> None:
    mapper = DetrMapper(channels=4, pixel_range=65535)
    for path, name in zip(files, ("a.npy", "b.npy", "c.tif", "d.tif"), strict=True):
        with pytest.raises(BadImageError, match=rf"{name} .*data\.channels=4"):
            mapper(entry(path))


def test_augmentations_take_any_channels(files: list) -> None:
    """In float32, on the scale of 0 to 255."""
    during = dict(p=1.0, end=1.0, max_iter=10, total_batch_size=1)
    from hdetr_d2.data import CopyBlend, During, MixUp

    augmentations = [v2.RandomHorizontalFlip(1.0), RandomShortSide([16]), ChannelJitter(p=1.0)]
    always = During(**during)
    for more in (
        {},
        {"mosaic": Mosaic(when=always, side=16)},
        {"blends": [MixUp(when=always)]},
        {"blends": [CopyBlend(when=always, min_area=1)]},
        {"copy_paste": CopyPaste(p=1.0, p_object=1.0)},
        {"augmentations": [LargeScaleJitter(32)]},
    ):
        mapper = DetrMapper(**{"augmentations": augmentations, **more, **DEEP})
        found = mapper(entry(files[0]), 3, map(entry, files[1:] * 4))
        image = found["image"]
        assert image.dtype == torch.float32
        assert image.shape[0] == 5
        assert 16 < image.max() <= 255


def test_the_pillow_rule_takes_any_channels_and_opencvs_does_not(files: list) -> None:
    pixels = MultiChannel(5, 65535).read(files[0])
    rule = ResizeRule(interpolation="pillow")
    mapper = DetrMapper(augmentations=[RandomShortSide([4], rule=rule)], is_train=False, **DEEP)
    resized = mapper(entry(files[0]))["image"].permute(1, 2, 0).numpy()
    assert (resized == rule.resize(pixels, (4, 5))).all()
    # Of torch's interpolation that without PyTorch differs by rounding alone.
    plain = DetrMapper(augmentations=[RandomShortSide([4])], is_train=False, **DEEP)
    close = plain(entry(files[0]))["image"].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(resized, close, atol=1e-4)
    wrong = RandomShortSide([4], rule=ResizeRule(interpolation="opencv"))
    with pytest.raises(UserError, match="interpolation=opencv takes images of 8 bits"):
        DetrMapper(augmentations=[wrong], is_train=False, **DEEP)(entry(files[0]))
    with pytest.raises(UserError, match="interpolation=opencv takes pixels of 8 bits"):
        ResizeRule(interpolation="opencv").resize(pixels, (4, 5))


@pytest.mark.parametrize(
    "transform",
    [
        ColorJitter(),
        v2.RandomPhotometricDistort(),
        v2.Compose([v2.RandomInvert()]),
        v2.RandAugment(),
    ],
)
@pytest.mark.parametrize("channels", [3, 5])
def test_what_is_for_rgb_alone_is_refused_by_its_option(
    transform: v2.Transform, channels: int
) -> None:
    flip = v2.RandomHorizontalFlip()
    sentence = (
        r"dataloader.train.mapper.augmentations.1 \(\w+\) is for RGB with 8 bits, but data.ch"
    )
    with pytest.raises(UserError, match=sentence):
        DetrMapper(augmentations=[flip, transform], channels=channels)
    DetrMapper(augmentations=[flip, transform])  # RGB


def test_the_scale_is_checked_with_any_channels() -> None:
    with pytest.raises(UserError, match="augmentations.0 .Normalize. turns pixels of 0 to 255"):
        DetrMapper(augmentations=[v2.Normalize([0.0] * 5, [255.0] * 5)], channels=5)


def test_jitter_changes_each_channel_by_itself() -> None:
    image = tv_tensors.Image(torch.full((5, 2, 2), 100.0))
    changed = ChannelJitter(gain=0.5, offset=0.1, p=1.0)(image)
    factors = changed[:, 0, 0]
    assert len(factors.unique()) == 5
    assert (changed == factors[:, None, None]).all()
    assert ((factors >= 24.5) & (factors <= 175.5)).all()
    assert (ChannelJitter(p=0.0)(image) == image).all()
    eight_bits = tv_tensors.Image(torch.full((3, 2, 2), 250, dtype=torch.uint8))
    assert ChannelJitter(gain=0.5, p=1.0)(eight_bits).dtype == torch.uint8


def test_statistics_are_those_of_all_pixels(tmp_path: Path) -> None:
    first = np.array([[[0, 100], [255, 100]]], np.uint8)  # 1 x 2 pixels
    second = np.array([[[255, 160]], [[255, 100]], [[0, 100]], [[0, 100]]], np.uint8)
    for name, image in (("a.npy", first), ("b.npy", second)):
        np.save(tmp_path / name, image)
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY")
    paths = [str(tmp_path / name) for name in ("a.npy", "broken.npy", "b.npy")]
    mean, std = channel_statistics(paths, MultiChannel(2))
    assert mean == [127.5, 110.0]
    assert std == [127.5, 22.361]  # of 100 five times and 160: sqrt(500)
    np.save(tmp_path / "a.npy", np.full((4, 3, 2), 9, np.uint8))
    with pytest.raises(UserError, match="channel 0 has the value 9 everywhere in 1 images"):
        channel_statistics(paths[:1], MultiChannel(2))
    with pytest.raises(UserError, match=r"broken\.npy cannot be read"):
        channel_statistics(paths[1:2], MultiChannel(2))


def config(**backbone: object) -> OmegaConf:
    mean = {"pixel_mean": [1.0, 2.0, 3.0], "pixel_std": [1.0, 1.0, 1.0]}
    node = L(TimmBackbone)(name="resnet10t", pretrained=False, norm="gn", **backbone)
    return OmegaConf.create(
        {
            "data": {"channels": 5, "pixel_range": 65535},
            "model": {"backbone": node, "preprocessing": mean},
        },
        flags={"allow_objects": True},
    )


def test_the_model_follows_the_channels(files: list, values: np.ndarray) -> None:
    cfg = config()
    follow_channels(cfg, files)
    assert cfg.model.backbone.in_chans == 5
    expected = (values / 257).reshape(-1, 5)
    np.testing.assert_allclose(cfg.model.preprocessing.pixel_mean, expected.mean(0), atol=1e-3)
    np.testing.assert_allclose(cfg.model.preprocessing.pixel_std, expected.std(0), atol=1e-3)
    before = OmegaConf.to_container(cfg.model.preprocessing)
    follow_channels(cfg, [])  # a saved config: nothing is measured again
    assert OmegaConf.to_container(cfg.model.preprocessing) == before


def test_what_the_model_cannot_follow_is_one_sentence() -> None:
    with pytest.raises(UserError, match="pixel_mean has 3 numbers: give pixel_mean and pixel_std"):
        follow_channels(config(), [])
    cfg = config()
    cfg.model.backbone._target_ = "torch.nn.Identity"
    with pytest.raises(UserError, match=r"data.channels=5: model.backbone \(Identity\) takes RGB"):
        follow_channels(cfg, [])
    cfg.data.channels = None
    follow_channels(cfg, [])
    with pytest.raises(UserError, match="an image has 5 channels, but pixel_mean of the model 3"):
        Preprocessing(pixel_mean=[0.0] * 3, pixel_std=[1.0] * 3)([torch.zeros(5, 4, 4)])


@pytest.fixture
def data(files: list, tmp_path: Path) -> dict:
    """A data set of the four files, as train and val."""
    box = {"category_id": 1, "bbox": [1, 1, 7, 5], "area": 35, "iscrowd": 0}
    names = [Path(path).name for path in files]
    content = {
        "images": [
            {"id": i, "file_name": n, "width": 10, "height": 8} for i, n in enumerate(names)
        ],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [{"id": i + 1, "image_id": i, **box} for i in range(len(names))],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    found = {"channels": 5, "pixel_range": None}
    for split in ("train", "val"):
        found |= {f"{split}_name": f"deep_{split}", f"{split}_images": str(tmp_path)}
        found[f"{split}_json"] = str(tmp_path / "a.json")
    return found


def test_a_data_set_tells_its_range_and_sizes(data: dict, files: list) -> None:
    info = register_datasets({**data, "sizes_from_files": True})
    assert (info.pixel_range, info.train_files) == (65535, files)
    rules = Rules.of(data, with_masks=False)
    report = check_data(data["train_json"], data["train_images"], rules=rules)
    assert report.num_errors == 0
    kinds = [problem.kind for problem in report.problems]
    assert kinds.count("several images with the same pixels") == 3
    report = check_data(
        data["train_json"], data["train_images"], rules=Rules.of({"channels": 6}, with_masks=False)
    )
    assert report.num_errors == 4


def test_half_of_the_shapes_are_in_two_channels_alone() -> None:
    spec = Specification(0, 0, 48, 4, 8, seed=0, channels=5)
    seen = [0, 0]
    for seed in range(30):
        picture, objects = draw_image(spec, np.random.default_rng(seed))
        assert (picture.shape, picture.dtype) == ((48, 48, 5), np.uint16)
        background = np.ones((48, 48), bool)
        for _, mask in objects:
            background &= ~mask
        for _, mask in objects:
            inside = picture[mask].astype(float)
            # A painted band has one colour with a little grain, and the other is background.
            spread = [inside[:, band].std(0).max() for band in (slice(0, 3), slice(3, 5))]
            seen[int(np.argmin(spread))] += 1
    assert min(seen) > 30
    assert len(np.unique(picture)) > 1000  # all of the 16 bits are in use
    first, again = draw_image(
        Specification(0, 0, 48, 4, 8, seed=0, channels=3), np.random.default_rng(29)
    )
    assert (first == picture[..., :3]).all()
    assert len(again) == len(objects)


def test_shapes_of_five_channels_are_written_as_tiff(tmp_path: Path) -> None:
    few = {"num_train": 2, "num_val": 1, "image_size": 32}
    generate_shapes(root=tmp_path / "five", channels=5, **few)
    content = json.loads((tmp_path / "five/annotations/train.json").read_text())
    assert content["info"]["channels"] == 5
    pixels = MultiChannel(5, 65535).read(
        tmp_path / "five/train" / content["images"][0]["file_name"]
    )
    assert pixels.shape == (32, 32, 5)
    with pytest.raises(UserError, match="shapes has 1 to 5 channels, not 6"):
        generate_shapes(root=tmp_path / "six", channels=6)
    generate_shapes(root=tmp_path / "rgb", **few)
    assert "channels" not in json.loads((tmp_path / "rgb/specification.json").read_text())
