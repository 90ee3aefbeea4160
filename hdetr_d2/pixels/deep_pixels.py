"""Pixels of more than 8 bits. Which value is white is a matter of the data set, not of an image:
one that is dark stays dark.
"""

import numpy as np

from hdetr_d2.errors import UserError

WHITES = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))
"""Highest values of the depths that sensors have."""


class BadImageError(UserError):
    """An image file that cannot be used; a loader may leave it out and go on."""


def to_8_bits(values: np.ndarray, white: int | None, name: str) -> np.ndarray:
    """Integers of any type as uint8, of the same shape.

    Args:
        values: from 0, black.
        white: None is 65535 for uint16. The values of another type say nothing of their range: it
            is then 255 where that holds them, else 65535.
        name: of the image, for the message.

    Raises:
        BadImageError: a value outside of the range.
    """
    lowest, highest = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if lowest < 0:
        raise BadImageError(f"{name} has negative pixels ({lowest}): 0 must be black")
    known = white
    if white is None:
        white = 255 if highest <= 255 and values.dtype != np.uint16 else 65535
    if highest > white:
        source = "of 16 bits" if known is None else f"that data.pixel_range={known} says"
        raise BadImageError(f"{name} has the pixel {highest}, above the range {source}")
    return (values.astype(np.int64) * 255 // white).astype(np.uint8)


def scaled(values: np.ndarray, white: int | None, name: str) -> np.ndarray:
    """Numbers of any type as float32 from 0 to 255, of the same shape: v * 255 / white, rounded
    once, so that 65,536 levels stay as many; uint8 as they are.

    Args:
        white: of numbers that are not uint8; None as in `to_8_bits`.
        name: of the image, for the message.

    Raises:
        BadImageError: a value outside of the range, or none; floats without one.
    """
    if values.dtype == np.uint8:
        return values.astype(np.float32)
    if values.dtype.kind not in "iuf":
        raise BadImageError(f"{name} holds {values.dtype}, which are no pixels")
    if white is None and values.dtype.kind == "f":
        raise BadImageError(
            f"{name} has floating-point pixels: data.pixel_range must say which value is white"
        )
    lowest, highest = (values.min(), values.max()) if values.size else (0, 0)
    if white is None:
        white = 255 if highest <= 255 and values.dtype != np.uint16 else 65535
    if not (lowest >= 0 and highest <= white):  # NaN is neither
        raise BadImageError(
            f"{name} has pixels from {lowest} to {highest}, but data.pixel_range={white} says 0 to "
            f"{white}"
        )
    # Up to 16 bits the product is exact.
    return values.astype(np.float32) * np.float32(255) / np.float32(white)


def likely_white(highest: int) -> int:
    """The highest value of the smallest depth that holds `highest`."""
    return next((white for white in WHITES if highest <= white), highest)
