"""LabelMe's masks: a base64 png whose upper left pixel lies on a point of the image."""

import base64
import binascii
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pycocotools.mask as mask_utils
from PIL import Image

from hdetr_d2.data.formats.run_lengths import encoded
from hdetr_d2.errors import UserError

Box = tuple[float, float, float, float]


def placed_mask(
    text: Any, corner: tuple[float, float], size: tuple[int, int], source: str
) -> tuple[Box, dict[str, Any]]:
    """The box x1, y1, x2, y2 in pixels around a mask, and the mask in COCO's format.

    Args:
        text: the png.
        corner: x, y in pixels, rounded.
        size: (width, height) of the image; pixels outside are ignored.
        source: how messages refer to the mask.

    Raises:
        UserError: not a png, or the mask lies outside of the image.
    """
    try:
        pixels = np.asarray(Image.open(BytesIO(base64.b64decode(text, validate=True)))) > 0
    except (TypeError, binascii.Error, OSError):
        raise UserError(f"{source}: its mask is no image in base64") from None
    if pixels.ndim != 2:
        raise UserError(f"{source}: its mask has several channels")
    rows, columns = np.nonzero(pixels)
    x, y = columns + round(corner[0]), rows + round(corner[1])
    inside = (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
    x, y = x[inside], y[inside]
    if not len(x):
        raise UserError(f"{source}: nothing of its mask is within the image")
    mask = np.zeros(size[::-1], np.uint8)
    mask[y, x] = 1
    box = (float(x.min()), float(y.min()), float(x.max() + 1), float(y.max() + 1))
    return box, encoded(mask)


def joined_masks(outlines: Sequence[Any], size: tuple[int, int]) -> dict[str, Any]:
    """The union of masks and lists of polygons, in COCO's format."""
    width, height = size
    parts: list[Any] = []
    for outline in outlines:
        is_mask = isinstance(outline, dict)
        parts += [outline] if is_mask else mask_utils.frPyObjects(outline, height, width)
    return encoded(mask_utils.decode(mask_utils.merge(parts)))
