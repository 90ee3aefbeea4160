"""Resized pixels: by hand, and as the libraries give them from files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import functional as of_pictures
from torchvision.transforms import v2

from hdetr_d2.data import DetrMapper, RandomShortSide
from hdetr_d2.errors import UserError
from hdetr_d2.modeling import Preprocessing
from hdetr_d2.pixels import read_image
from hdetr_d2.pixels.interpolations import opencv, pillow
from hdetr_d2.pixels.resize_rule import ResizeRule

RULES = [
    ResizeRule("detr", "pillow"),
    ResizeRule("mmdetection", "opencv"),
    ResizeRule("transformers", "torch"),
    ResizeRule(),
]


def grey(rows: list[list[int]]) -> np.ndarray:
    return np.repeat(np.array(rows, np.uint8)[:, :, None], 3, axis=2)


@pytest.fixture(params=["png", "jpg"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    coarse = Image.fromarray(generator.integers(0, 256, (9, 12, 3), np.uint8))
    coarse.resize((90, 65), Image.Resampling.BICUBIC).save(tmp_path / f"a.{request.param}")
    return tmp_path / f"a.{request.param}"


def mapped(file: Path, rule: ResizeRule, side: int = 31, most: int = 40) -> np.ndarray:
    """uint8 [H, W, 3] as evaluation feeds it to the model."""
    resize = RandomShortSide([side], most, rule)
    mapper = DetrMapper(augmentations=[resize], is_train=False)
    image = mapper({"file_name": str(file)})["image"]
    return image.permute(1, 2, 0).numpy()


def test_a_row_between_two_pixels() -> None:
    # Centers lie at (i + 0.5) / 2 - 0.5 = -0.25, 0.25, 0.75, 1.25.
    assert opencv(grey([[0, 100]]), (1, 4))[0, :, 0].tolist() == [0, 25, 75, 100]
    assert pillow(grey([[0, 100]]), (1, 4))[0, :, 0].tolist() == [0, 25, 75, 100]


def test_antialiasing_sees_what_lies_between() -> None:
    row = grey([[0, 0, 0, 200, 0, 0, 0, 0]])
    # OpenCV looks at 1.5 and 5.5, the means of pixels 1 and 2, and of 5 and 6: all black.
    assert opencv(row, (1, 2))[0, :, 0].tolist() == [0, 0]
    # Pillow's triangle of 8 pixels around 2 gives pixel 3.5 - 2 = 1.5 away the weight 1 - 1.5 / 4,
    # of 3.5 = 2 (1 + 5 + 3 + 1) / 8 + ... that lie inside; around 6 it is 1 - 2.5 / 4.
    inside = sum(1 - abs(place + 0.5 - 2) / 4 for place in range(6))
    first, second = (200 * (1 - far / 4) / inside for far in (1.5, 2.5))
    assert pillow(row, (1, 2))[0, :, 0].tolist() == [round(first), round(second)]


def test_halves_are_means_of_four() -> None:
    square = grey([[0, 1, 10, 20], [2, 4, 30, 40]])
    assert opencv(square, (1, 2))[0, :, 0].tolist() == [2, 25]  # 7 / 4 is nearer to 2


def slow_opencv(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A pixel at a time, in whole numbers: weights of 11 bits, products cut to 16."""

    def weights(place: int, before: int, after: int) -> tuple[int, np.ndarray]:
        center = np.float32((place + 0.5) * (1 / (after / before)) - 0.5)
        first = int(np.floor(center))
        share = center - np.float32(first)
        return first, np.rint(np.array([1 - share, share]) * 2048).astype(int)

    out = np.zeros((*size, image.shape[2]), np.uint8)
    height, width = image.shape[:2]
    for y, x, c in np.ndindex(out.shape):
        top, down = weights(y, height, size[0])
        left, right = weights(x, width, size[1])
        if left < 0 or left >= width - 1:
            left, right = min(max(left, 0), width - 1), np.array([2048, 0])
        columns = [left, min(left + 1, width - 1)]
        total = 2
        for row, weight in zip((top, top + 1), down, strict=True):
            row = min(max(row, 0), height - 1)
            wide = sum(int(image[row, k, c]) * int(w) for k, w in zip(columns, right, strict=True))
            total += (wide >> 4) * int(weight) >> 16
        out[y, x, c] = total >> 2
    return out


@pytest.mark.parametrize("size", [(7, 9), (13, 5), (1, 1), (4, 30), (26, 22), (3, 11)])
def test_opencvs_pixels_one_by_one(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 256, (13, 11, 3), np.uint8)
    assert (opencv(image, size) == slow_opencv(image, size)).all()


def test_opencvs_pixels_are_those_of_opencv() -> None:
    cv2 = pytest.importorskip("cv2")
    generator = np.random.default_rng(2)
    for turn in range(400):
        before, after = generator.integers(1, 60, 2), generator.integers(1, 90, 2)
        before = (2 * after if turn % 8 == 0 else before).tolist()
        image = generator.integers(0, 256, (*before, 3), np.uint8)
        height, width = after.tolist()
        assert (opencv(image, (height, width)) == cv2.resize(image, (width, height))).all()


def test_detrs_files_are_resized_as_torchvision_does_pictures(file: Path) -> None:
    # 90 x 65 to a shorter side of 31 and 40 at most: 40 * 65 / 90 = 28.9, 29 * 90 / 65 = 40.2.
    picture = of_pictures.resize(Image.open(file), [29, 40])
    assert (mapped(file, ResizeRule("detr", "pillow")) == np.asarray(picture)).all()


def test_detectron2s_files_are_resized_by_pillow(file: Path) -> None:
    # 31 / 65 * 90 = 42.9, 40 / 42.9 * 31 = 28.9.
    picture = Image.open(file).resize((40, 29), Image.Resampling.BILINEAR)
    assert (mapped(file, ResizeRule("detectron2", "pillow")) == np.asarray(picture)).all()


def test_mmdetections_files_are_read_and_resized_by_opencv(file: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    # min(40 / 90, 31 / 65) = 0.444: 65 * 0.444 + 0.5 = 29.4.
    expected = cv2.resize(cv2.imread(str(file)), (40, 29), interpolation=cv2.INTER_LINEAR)
    found = mapped(file, ResizeRule("mmdetection", "opencv")).astype(int)
    different = np.abs(found - expected[..., ::-1])
    # Two decoders of JPEG may round a colour in two ways.
    assert different.max() <= (0 if file.suffix == ".png" else 2)


def test_transformers_files_are_resized_as_tensors(file: Path) -> None:
    # exact: 40 * 65 / 90 = 28.9; 28.9 * 90 / 65 = 40.
    tensor = v2.functional.pil_to_tensor(Image.open(file))
    expected = v2.functional.resize(tensor, [29, 40], antialias=True)
    found = mapped(file, ResizeRule("transformers", "torch"))
    assert (found == expected.permute(1, 2, 0).numpy()).all()


def test_the_model_is_fed_as_by_transformers(tmp_path: Path) -> None:
    processor = pytest.importorskip("transformers").DetrImageProcessor()
    resize = RandomShortSide([800], 1333, ResizeRule("transformers", "torch"))
    mapper = DetrMapper(augmentations=[resize], is_train=False)
    ours = Preprocessing(pixel_mean=[123.675, 116.28, 103.53], pixel_std=[58.395, 57.12, 57.375])
    generator = np.random.default_rng(0)
    for size in ((427, 640), (300, 1000), (642, 640)):
        Image.fromarray(generator.integers(0, 256, (*size, 3), np.uint8)).save(tmp_path / "a.jpg")
        picture = Image.open(tmp_path / "a.jpg")
        expected = processor(images=picture, return_tensors="pt")["pixel_values"]
        found = ours([mapper({"file_name": str(tmp_path / "a.jpg")})["image"]]).tensor
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_this_projects_own_are_bit_equal_to_before(file: Path) -> None:
    tensor = torch.from_numpy(read_image(file)).permute(2, 0, 1)
    expected = v2.functional.resize(tensor, [29, 40], antialias=True).permute(1, 2, 0).numpy()
    assert (mapped(file, ResizeRule()) == expected).all()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rounding)
def test_without_pytorch_the_pixels_are_the_same(rule: ResizeRule, file: Path) -> None:
    image = read_image(file)
    found = rule.resize(image, rule.size(*image.shape[:2], 31, 40))
    different = np.abs(found.astype(int) - mapped(file, rule))
    if rule.interpolation != "torch":
        assert not different.any()
    else:
        assert different.max() <= 1 and (different > 0).mean() < 0.02


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.rounding)
def test_an_image_of_its_size_stays_as_it_is(rule: ResizeRule, file: Path) -> None:
    assert (mapped(file, rule, side=65, most=90) == read_image(file)).all()
    image = read_image(file)
    assert rule.resize(image, (65, 90)) is image


def test_boxes_and_masks_follow_the_image() -> None:
    sample = {
        "image": tv_tensors.Image(torch.zeros(3, 30, 40, dtype=torch.uint8)),
        "boxes": tv_tensors.BoundingBoxes(
            torch.tensor([[10.0, 6, 20, 12]]), format="XYXY", canvas_size=(30, 40)
        ),
        "masks": tv_tensors.Mask(torch.ones(1, 30, 40, dtype=torch.bool)),
    }
    resized = RandomShortSide([60], None, ResizeRule("detr", "opencv"))(sample)
    assert resized["image"].shape == (3, 60, 80)
    assert resized["boxes"].tolist() == [[20, 12, 40, 24]]
    assert resized["masks"].shape == (1, 60, 80) and resized["masks"].all()


def test_only_images_of_8_bits_are_interpolated_without_pytorch() -> None:
    resize = RandomShortSide([8], None, ResizeRule("detr", "opencv"))
    with pytest.raises(UserError, match="takes images of 8 bits and 3 channels, not torch.float32"):
        resize({"image": tv_tensors.Image(torch.zeros(3, 5, 5))})
