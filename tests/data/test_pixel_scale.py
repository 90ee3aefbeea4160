import random

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from hdetr_d2.data import ColorJitter, LargeScaleJitter, RandomShortSide
from hdetr_d2.data.mapper import DetrMapper
from hdetr_d2.errors import UserError

FLIP = v2.RandomHorizontalFlip(p=0.5)
TO_UNIT = v2.ToDtype(torch.float32, scale=True)
UNIT_STATISTICS = v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])


class ToFloat(torch.nn.Module):
    """Images of 0 to 255 in floating point."""

    def forward(self, sample: dict) -> dict:
        return {**sample, "image": v2.functional.to_dtype(sample["image"], torch.float32)}


@pytest.mark.parametrize(
    ("transforms", "culprit"),
    [
        ([v2.ConvertImageDtype()], "0 (ConvertImageDtype) turns pixels of 0 to 255 into 0 to 1"),
        ([FLIP, TO_UNIT], "1 (ToDtype) turns pixels of 0 to 255 into 0 to 1"),
        ([FLIP, TO_UNIT, UNIT_STATISTICS], "1 (ToDtype) turns pixels of 0 to 255 into 0 to 1"),
        ([TO_UNIT, FLIP, v2.ToDtype(torch.uint8)], "0 (ToDtype)"),
        ([ToFloat(), v2.Normalize([0.0] * 3, [255.0] * 3)], "1 (Normalize)"),
        # Only the mean taken off: (0 - 124) / 1.
        ([ToFloat(), v2.Normalize([124.0] * 3, [1.0] * 3)], "1 (Normalize) turns pixels of 0 to"),
        ([FLIP, v2.ToDtype(torch.int16, scale=True)], "1 (ToDtype)"),
        ([v2.Compose([FLIP, TO_UNIT])], "0 (Compose)"),
    ],
)
@pytest.mark.parametrize(("is_train", "split"), [(True, "train"), (False, "test")])
def test_another_scale_is_refused(
    transforms: list, culprit: str, is_train: bool, split: str
) -> None:
    with pytest.raises(UserError) as caught:
        DetrMapper(augmentations=transforms, is_train=is_train)
    assert str(caught.value).startswith(f"dataloader.{split}.mapper.augmentations.{culprit}")
    assert str(caught.value).endswith("(pixel_mean, pixel_std): leave this transform out")


@pytest.mark.parametrize(
    "transforms",
    [
        [],
        [FLIP, RandomShortSide(sides=[64], max_size=96)],
        [LargeScaleJitter(size=128), ColorJitter()],
        [ToFloat()],
        [TO_UNIT, FLIP, v2.ToDtype(torch.uint8, scale=True)],
        [ToFloat(), v2.Resize(200, interpolation=v2.InterpolationMode.BICUBIC)],
        # Dark, grey or inverted images are no other scale.
        [v2.ColorJitter(brightness=1.0, contrast=1.0)],
        [v2.RandomSolarize(threshold=128, p=1.0)],
        [v2.RandomPosterize(bits=2, p=1.0), v2.RandomGrayscale(p=1.0)],
        [v2.GaussianBlur(31, 15.0)],
        # What cannot be tried on the image of noise is left to the data.
        [v2.RandomCrop(1000)],
        [v2.Normalize([124.0] * 3, [58.0] * 3)],
    ],
)
@pytest.mark.parametrize("with_masks", [False, True])
def test_the_scale_of_the_model_is_taken(transforms: list, with_masks: bool) -> None:
    DetrMapper(augmentations=transforms, with_masks=with_masks)


def test_random_numbers_go_on_as_if_nothing_had_been_tried() -> None:
    def draw() -> tuple[float, float, float]:
        return float(torch.rand(())), random.random(), float(np.random.rand())

    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    expected = draw()
    torch.manual_seed(1), random.seed(1), np.random.seed(1)
    DetrMapper(augmentations=[FLIP, ColorJitter()])
    assert draw() == expected
