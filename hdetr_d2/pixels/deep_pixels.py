"""Pixels with more than 8 bits. The white level belongs to the data set, not to an image: a dark
image stays dark.
"""

import numpy as np

from hdetr_d2.errors import UserError

WHITES = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))
"""Maximum values of common sensor depths."""


class BadImageError(UserError):
    """An unusable image file; a loader may skip it."""


def to_8_bits(values: np.ndarray, white: int | None, name: str) -> np.ndarray:
    """Converts integers of any dtype to uint8, with the same shape.

    Args:
        values: from 0, black.
        white: None is 65535 for uint16. For other dtypes, whose range is unknown, it is 255 if no
            value exceeds that, otherwise 65535.
        name: of the image, for messages.

    Raises:
        BadImageError: a value is out of range.
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
    """Scales numbers of any dtype to float32 from 0 to 255, with the same shape: v * 255 / white,
    rounded once, so that 65,536 levels stay distinct; uint8 is unchanged.

    Args:
        white: for dtypes other than uint8; None as in `to_8_bits`.
        name: of the image, for messages.

    Raises:
        BadImageError: a value is out of range or NaN, or floats without a white level.
    """
    if values.dtype == np.uint8:
        return values.astype(np.float32)
    if values.dtype.kind not in "iuf":
        raise BadImageError(f"{name} holds {values.dtype}, which cannot be pixels")
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
    """The maximum value of the smallest depth that contains `highest`."""
    return next((white for white in WHITES if highest <= white), highest)
