"""Interpolation of resized images, with numpy and Pillow only."""

from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from hdetr_d2.errors import UserError

_BITS = 11
"""Fractional bits of OpenCV's fixed-point weights."""


def pillow(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes uint8 [H, W, 3] or float32 [H, W, C] to another (H, W): bilinear, with antialiasing
    when shrinking.
    """
    if image.dtype == np.uint8:
        return _resized(image, size)
    channels = np.moveaxis(image, -1, 0)
    return np.stack([_resized(np.ascontiguousarray(each), size) for each in channels], axis=-1)


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """For what Pillow has a mode."""
    height, width = size
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def opencv(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes uint8 [H, W, 3] to another (H, W), bit-exactly like OpenCV's INTER_LINEAR: between
    two pixels of a row and two of a column, however much the image shrinks.

    Raises:
        UserError: pixels of another dtype.
    """
    if image.dtype != np.uint8:
        raise UserError(
            f"data.resize.interpolation=opencv takes pixels of 8 bits, not {image.dtype}"
        )
    height, width = size
    if image.shape[:2] == (2 * height, 2 * width):
        return _halved(image)
    first, second, weights = _neighbours(image.shape[1], width)
    # Beyond the end of a row only its last pixel counts.
    weights[(first < 0) | (second >= image.shape[1])] = (1 << _BITS, 0)
    first, second = (each.clip(0, image.shape[1] - 1) for each in (first, second))
    wide = image.astype(np.int32)
    rows = wide[:, first] * weights[:, :1] + wide[:, second] * weights[:, 1:]  # [H, W', 3]
    rows >>= 4  # to 16 bits, of which the upper half of a product is kept
    first, second, weights = _neighbours(image.shape[0], height)
    first, second = (each.clip(0, image.shape[0] - 1) for each in (first, second))
    upper = rows[first] * weights[:, :1, None] >> 16
    lower = rows[second] * weights[:, 1:, None] >> 16
    return ((upper + lower + 2) >> 2).astype(np.uint8)


def _halved(image: np.ndarray) -> np.ndarray:
    """The means of 2x2 blocks of pixels."""
    rows = image[0::2].astype(np.uint16) + image[1::2]
    return ((rows[:, 0::2] + rows[:, 1::2] + 2) >> 2).astype(np.uint8)


def _neighbours(before: int, after: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `after` pixels, the two neighbours among `before`, int64 [after] each, possibly
    outside, and both weights, int32 [after, 2].
    """
    place = ((np.arange(after) + 0.5) * (1 / (after / before)) - 0.5).astype(np.float32)
    first = np.floor(place)
    share = place - first
    weights = np.rint(np.stack([1 - share, share], axis=1) * (1 << _BITS)).astype(np.int32)
    left = first.astype(np.int64)
    return left, left + 1, weights


INTERPOLATIONS: Mapping[str, Callable[[np.ndarray, tuple[int, int]], np.ndarray]] = {
    "opencv": opencv,
    "pillow": pillow,
}
"""By their names in configs."""
