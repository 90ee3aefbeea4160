"""Selects the most interesting images, and makes them small enough for a page."""

import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from hdetr_d2.pixels import EIGHT_BITS, ImageFormat
from hdetr_d2.report.content import Subject


def chosen(subjects: Sequence[Subject], most: int) -> list[int]:
    """The images with the most misses and false positives; for two runs, those where they differ
    most come first. The first one wins ties.
    """
    errors = np.stack([subject.errors() for subject in subjects])
    apart = errors.max(0) - errors.min(0)
    return np.lexsort((-errors.max(0), -apart))[:most].tolist()


def jpegs(
    files: Sequence[Path], *, side: int, quality: int = 80, image_format: ImageFormat = EIGHT_BITS
) -> Iterator[str]:
    """Yields images as JPEG in base64, created on demand.

    Args:
        side: maximum width and height.
        image_format: how images are read and displayed.

    Raises:
        BadImageError: an image cannot be read.
    """
    for file in files:
        picture = Image.fromarray(image_format.picture(image_format.read(file)))
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        yield base64.b64encode(buffer.getvalue()).decode("ascii")
