"""Refuses transforms made for 8-bit RGB if images are something else."""

from collections.abc import Iterator, Sequence

import numpy as np
from torchvision.transforms import v2

from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat

# They know no other colours, or clip non-integer values to [0, 1].
RGB_ALONE = (
    v2.AugMix,
    v2.AutoAugment,
    v2.ColorJitter,
    v2.GaussianNoise,
    v2.Grayscale,
    v2.JPEG,
    v2.RandAugment,
    v2.RandomAdjustSharpness,
    v2.RandomAutocontrast,
    v2.RandomEqualize,
    v2.RandomGrayscale,
    v2.RandomInvert,
    v2.RandomPhotometricDistort,
    v2.RandomPosterize,
    v2.RandomSolarize,
    v2.TrivialAugmentWide,
)


def refuse_rgb_alone(transforms: Sequence[object], option: str, image_format: ImageFormat) -> None:
    """Accepts everything for images of 8-bit RGB.

    Args:
        option: where the transforms come from, for messages.

    Raises:
        UserError: one of them, or a part of it, does not accept such images.
    """
    if image_format.dtype == np.uint8:
        return
    for index, transform in enumerate(transforms):
        for part in _parts(transform):
            if isinstance(part, RGB_ALONE):
                raise UserError(
                    f"{option}.{index} ({type(part).__name__}) is for RGB with 8 bits, but "
                    f"data.channels={image_format.channels}: take hdetr_d2.data.ChannelJitter, or "
                    "leave it out"
                )


def _parts(transform: object) -> Iterator[object]:
    """The transform and its parts."""
    yield transform
    for part in getattr(transform, "transforms", ()):
        yield from _parts(part)
