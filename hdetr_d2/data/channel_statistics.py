"""Normalisation constants of a data set's channels."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from hdetr_d2.data.survey import spread
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import BadImageError, ImageFormat

_THREADS = 4
_DIGITS = 3


def channel_statistics(
    paths: Sequence[str], image_format: ImageFormat
) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, on the scale of 0 to 255, over all pixels of a
    sample of images spread over the data set.

    Raises:
        UserError: none of these can be read, or a channel is constant.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(partial(_sums, image_format=image_format), spread(paths)))
    sums = [each for each in found if not isinstance(each, BadImageError)]
    if not sums:
        raise found[0] if found else UserError("there is no image to measure channels of")  # type: ignore[misc]
    count, total, squares = (np.sum(each, axis=0) for each in zip(*sums, strict=True))
    mean = total / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    if not std.all():
        empty = int(np.flatnonzero(std == 0)[0])
        raise UserError(
            f"channel {empty} has the value {mean[empty]:g} everywhere in {len(sums)} images: it "
            "tells nothing; give model.preprocessing.pixel_mean and pixel_std"
        )
    return mean.round(_DIGITS).tolist(), std.round(_DIGITS).tolist()


def _sums(
    path: str, image_format: ImageFormat
) -> tuple[int, np.ndarray, np.ndarray] | BadImageError:
    """The number of pixels of an image, and the sums of values and squares of each channel."""
    try:
        pixels = image_format.read(path).astype(np.float64)
    except BadImageError as error:
        return error
    flat = pixels.reshape(-1, pixels.shape[-1])
    return len(flat), flat.sum(0), (flat**2).sum(0)
