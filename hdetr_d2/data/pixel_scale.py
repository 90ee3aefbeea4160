"""Checks that transforms keep pixels on the scale of 0 to 255, which the model's normalisation
expects.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torchvision import tv_tensors

from hdetr_d2.data.sample import Sample
from hdetr_d2.errors import UserError
from hdetr_d2.pixels.image_format import ImageFormat
from hdetr_d2.utils.random_state import seeded

# Large enough for the usual crops.
HEIGHT, WIDTH = 480, 640
# A random transform may darken one image, but an image in [0, 1] stays dark in every draw.
DRAWS = 4
# White must remain at least this bright; a bicubic resize slightly overshoots black and white.
LEAST_WHITE, BEYOND = 16, 64
# Exceptions of transforms that do not accept the test image, or any.
UNTRIED = (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
Transform = Callable[[Sample], Sample]


def check_pixel_scale(
    transforms: Sequence[Transform],
    option: str,
    *,
    with_masks: bool,
    image_format: ImageFormat,
) -> None:
    """Applies the transforms to a noise image; the caller's random state is unchanged.

    If that is not possible (a transform raises), the check is left to the first real image.

    Args:
        transforms: applied in this order.
        option: where they come from, for messages.
        with_masks: whether they expect masks.
        image_format: of the images.

    Raises:
        UserError: pixels end on another scale than 0 to 255, as after `ToDtype(scale=True)` or
            `Normalize`; the message names the first transform responsible.
    """
    extremes: list[tuple[float, float]] = []
    with seeded(0):
        for _ in range(DRAWS):
            try:
                extremes = _extremes(transforms, _noise(with_masks, image_format))
            except UNTRIED:
                return
            if not extremes or _is_right(*extremes[-1]):
                return
    first = max((i + 1 for i, each in enumerate(extremes) if _is_right(*each)), default=0)
    low, high = extremes[first]
    raise UserError(
        f"{option}.{first} ({type(transforms[first]).__name__}) turns pixels of 0 to 255 into "
        f"{low:.3g} to {high:.3g}; the model expects 0 to 255 and normalises them itself "
        "(pixel_mean, pixel_std): leave this transform out"
    )


def _is_right(low: float, high: float) -> bool:
    return low >= -BEYOND and LEAST_WHITE <= high <= 255 + BEYOND


def _extremes(transforms: Sequence[Transform], sample: Sample) -> list[tuple[float, float]]:
    """The lowest and highest pixel after each transform, in one draw."""
    found = []
    for transform in transforms:
        sample = transform(sample)
        low, high = sample["image"].as_subclass(torch.Tensor).aminmax()
        found.append((float(low), float(high)))
    return found


def _noise(with_masks: bool, image_format: ImageFormat) -> Sample:
    """All brightness levels everywhere, so that crops and tone curves leave some of each."""
    box = torch.tensor([[0.0, 0.0, WIDTH, HEIGHT]])
    pixels = torch.randint(256, (image_format.channels, HEIGHT, WIDTH), dtype=torch.uint8)
    dtype = torch.from_numpy(np.empty(0, image_format.dtype)).dtype
    sample: Sample = {
        "image": tv_tensors.Image(pixels.to(dtype)),
        "boxes": tv_tensors.BoundingBoxes(box, format="XYXY", canvas_size=(HEIGHT, WIDTH)),
        "labels": torch.zeros(1, dtype=torch.int64),
    }
    if with_masks:
        sample["masks"] = tv_tensors.Mask(torch.ones(1, HEIGHT, WIDTH, dtype=torch.bool))
    return sample
