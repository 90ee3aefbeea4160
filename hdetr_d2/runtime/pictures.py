"""What a predictor takes as an image, and as several."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

Picture: TypeAlias = str | Path | bytes | np.ndarray | Image.Image
"""A file; an integer array: [H, W, 3] in RGB (OpenCV reads BGR: `image[..., ::-1]`), or greyscale
[H, W]; a Pillow image; or the bytes of a file. Floating-point pixels are rejected. For pixels with
more than 8 bits, white is the `image_format.pixel_range` of the detector, taken from its training
data; if these had none, 65535 for uint16, and 255 for other dtypes without higher values. For
detectors with other channels, see `MultiChannel`.
"""


def each_picture(images: Picture | Iterable[Picture]) -> Iterable[Picture]:
    """The images, of which one may be given alone.

    What is neither an image nor a collection of images counts as one image, so that the message
    that refuses it names its type: None (of OpenCV for a file that it cannot read), an opened file,
    whose lines are bytes, a dict or a bytearray.
    """
    one: Any = images
    odd = isinstance(one, Mapping | bytearray | memoryview) or hasattr(one, "readline")
    return [one] if isinstance(one, Picture) or odd or not isinstance(one, Iterable) else one
