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


def likely_white(highest: int) -> int:
    """The highest value of the smallest depth that holds `highest`."""
    return next((white for white in WHITES if highest <= white), highest)
