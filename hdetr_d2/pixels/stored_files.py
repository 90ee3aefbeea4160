"""The raw content of image files, all channels in their own numbers: NumPy arrays, TIFF, and
everything else Pillow reads.
"""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from importlib import import_module
from typing import Any, BinaryIO, NamedTuple, TypeAlias

import numpy as np
from PIL import Image

from hdetr_d2.errors import UserError
from hdetr_d2.pixels.deep_pixels import BadImageError
from hdetr_d2.pixels.images import (
    IN_MEMORY,
    ORIENTATION,
    reason_of,
    stored_as,
    upright,
    upright_size,
)
from hdetr_d2.utils.git_lfs import why_unreadable

_NPY = (b"\x93NUMPY",)
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two are larger than 4 GB
# EXIF orientations applied to arrays [H, W, C]; for Pillow images see `images.UPRIGHT`.
_TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image.swapaxes(0, 1)[:, ::-1],
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image.swapaxes(0, 1)[::-1],
}
_NO_INTENSITIES = {"MINISWHITE": "has white as 0", "PALETTE": "holds indices of a palette"}
# Pillow modes whose bands are channels; others are first converted to RGB.
_BANDS = ("L", "LA", "RGB", "RGBA", "CMYK", "F")


class Stored(NamedTuple):
    """Of an upright image: height and width in pixels, and the dtype."""

    height: int
    width: int
    dtype: np.dtype


class _Array(NamedTuple):
    """An array in an opened file.

    read: returns it. arranged: converts it, or one of its shape, to [H, W, channels], upright.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]
    arranged: Callable[[np.ndarray], np.ndarray]


def look(path: str | os.PathLike, channels: int) -> Stored:
    """Inspects a file without reading its pixels.

    Raises:
        BadImageError: missing, broken, or with another number of channels.
    """
    with _opened(os.fspath(path), channels) as array:
        empty = np.broadcast_to(np.zeros((), array.dtype), array.shape)
        height, width, _ = array.arranged(empty).shape
        return Stored(height, width, array.dtype)


def load(source: str | os.PathLike | bytes, channels: int) -> np.ndarray:
    """[H, W, channels], upright, in the file's own numbers.

    Args:
        source: a path, or the bytes of a file.

    Raises:
        BadImageError: missing, broken, or with another number of channels.
    """
    with _opened(os.fspath(source), channels) as array:
        return array.arranged(array.read())


def channels_last(array: np.ndarray, channels: int, name: str) -> np.ndarray:
    """An array without labelled axes as [H, W, channels]: the channels are the first or the last
    axis, whichever has this size; a 2-d array has a single channel.

    Raises:
        BadImageError: neither axis fits, or both do.
    """
    shape = " x ".join(map(str, array.shape))
    if array.ndim == 2 and channels == 1:
        return array[..., None]
    first, last = (array.ndim == 3 and array.shape[axis] == channels for axis in (0, -1))
    if first and last:
        raise BadImageError(
            f"{name} is {shape}: with data.channels={channels} either end may be the channels; a "
            "TIFF with planar configuration says which"
        )
    if not first and not last:
        raise BadImageError(
            f"{name} is {shape}, but data.channels={channels}: its first or its last axis must "
            "have so many"
        )
    return array if last else array.transpose(1, 2, 0)


def bands(image: Image.Image, stored: str, name: str) -> np.ndarray:
    """[H, W, C] from a Pillow image, upright.

    Args:
        stored: the result of `stored_as` before it was loaded.

    Raises:
        BadImageError: it has more bits than Pillow returns.
    """
    if ";16" in stored and not image.mode.startswith("I"):
        raise BadImageError(
            f"{name} has colours of 16 bits, of which only the upper 8 can be read: write it as "
            "TIFF or .npy"
        )
    image = upright(image)
    values = np.asarray(image if _has_channels(image) else image.convert("RGB"))
    # Some versions and formats return 16 bits as 32.
    values = values.astype(np.uint16) if ";16" in stored and "S" not in stored else values
    return values[..., None] if values.ndim == 2 else values


def checked(image: np.ndarray, channels: int, name: str) -> np.ndarray:
    """Returns the image [H, W, C] itself.

    Raises:
        BadImageError: C is not `channels`.
    """
    if image.shape[2] != channels:
        raise BadImageError(f"{name} has {image.shape[2]} channel(s), but data.channels={channels}")
    return image


def needed_tifffile(path: str) -> Any:
    """Imports the module.

    Args:
        path: of the file that requires it.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module("tifffile")
    except ModuleNotFoundError:
        raise UserError(f"{path} needs tifffile: pip install 'hdetr_d2[channels]'") from None


@contextmanager
def _opened(given: str | bytes, channels: int) -> Iterator[_Array]:
    name = IN_MEMORY if isinstance(given, bytes) else given
    source = io.BytesIO(given) if isinstance(given, bytes) else given
    try:
        with _file(source) as file:
            beginning = file.read(6)
            file.seek(0)
        open_array = _in_pillow
        if beginning.startswith(_NPY):
            open_array = _in_npy
        elif beginning.startswith(_TIFF):
            open_array = _in_tiff
        with open_array(source, name, channels) as array:
            yield array
    except UserError:
        raise
    except FileNotFoundError:
        raise BadImageError(f"{name} does not exist") from None
    except Exception as error:  # decoders by many authors
        reason = why_unreadable(name, reason_of(error))
        raise BadImageError(f"{name} cannot be read as an image: {reason}") from None


Source: TypeAlias = str | io.BytesIO
"""A path, or the bytes of a file."""


def _file(source: Source) -> AbstractContextManager[BinaryIO]:
    return open(source, "rb") if isinstance(source, str) else nullcontext(source)


@contextmanager
def _in_npy(source: Source, name: str, channels: int) -> Iterator[_Array]:
    mapped = np.load(source, mmap_mode="r" if isinstance(source, str) else None)
    arranged = partial(channels_last, channels=channels, name=name)
    yield _Array(mapped.shape, mapped.dtype, lambda: np.array(mapped), arranged)


@contextmanager
def _in_tiff(source: Source, name: str, channels: int) -> Iterator[_Array]:
    """Files that declare a channel axis (samples per pixel, or the C of ImageJ and OME) are
    trusted; in others, such as multi-page files, it is determined as for any array.
    """
    with needed_tifffile(name).TiffFile(source) as tiff:
        series = tiff.series[0]
        page, axes = series.keyframe, series.axes
        if (what := _NO_INTENSITIES.get(getattr(page.photometric, "name", ""))) is not None:
            raise BadImageError(f"{name} {what}: write the intensities of its channels")
        tag = page.tags.get(ORIENTATION)
        turn = _TURNS.get(1 if tag is None else tag.value, lambda image: image)

        def arranged(array: np.ndarray) -> np.ndarray:
            if sorted(axes) in (["S", "X", "Y"], ["C", "X", "Y"]):
                place = [axes.index(axis) for axis in ("Y", "X", *(set(axes) - {"X", "Y"}))]
                return turn(checked(array.transpose(place), channels, name))
            return turn(channels_last(array, channels, name))

        yield _Array(series.shape, series.dtype, series.asarray, arranged)


@contextmanager
def _in_pillow(source: Source, name: str, channels: int) -> Iterator[_Array]:
    with _file(source) as file, Image.open(file) as image:
        stored = stored_as(image)  # before its EXIF is read, which may load it
        deep = "uint16" if ";16" in stored else "int32"
        width, height = upright_size(image)
        yield _Array(
            (height, width, len(image.getbands()) if _has_channels(image) else 3),
            np.dtype({"F": "float32", "I": deep}.get(image.mode[0], "uint8")),
            partial(bands, image, stored, name),
            partial(checked, channels=channels, name=name),
        )


def _has_channels(image: Image.Image) -> bool:
    """Whether the bands of a Pillow image are channels."""
    return image.mode in _BANDS or image.mode.startswith("I")
