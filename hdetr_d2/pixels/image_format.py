"""The format of a data set's images: 8-bit RGB, or any number of channels and any depth. It alone
determines how files are read; other code only asks for channels and dtype.
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np
from PIL import Image

from hdetr_d2.errors import UserError
from hdetr_d2.pixels.deep_pixels import BadImageError, scaled
from hdetr_d2.pixels.images import (
    DECODE_ERRORS,
    IN_MEMORY,
    read_image,
    stored_as,
    to_rgb,
    upright_size,
)
from hdetr_d2.pixels.stored_files import bands, channels_last, checked, load, look

_SHOWN_PERCENTILES = (2, 98)
_MEASURED = 512
"""At most this many rows and columns of a picture are measured for contrast."""


class Header(NamedTuple):
    """has_pages: only the first page is read. is_deep: pixels have more than 8 bits."""

    has_pages: bool
    is_deep: bool


class ImageFormat(Protocol):
    """
    Attributes:
        channels: of an image.
        dtype: of its pixels, which are on the scale of 0 to 255.
        pixel_range: the value in files that becomes 255, if they have more than 8 bits.
        endings: of files with such images, in addition to those that Pillow reads.
    """

    dtype: ClassVar[type[np.number]]
    endings: ClassVar[frozenset[str]]

    @property
    def channels(self) -> int: ...
    @property
    def pixel_range(self) -> int | None: ...
    @property
    def options(self) -> dict[str, Any]:
        """The arguments of `image_format` that create an equal one."""

    def read(self, path: str | os.PathLike) -> np.ndarray:
        """Reads the image in a file, upright, [H, W, channels] of `dtype`.

        Raises:
            BadImageError: it cannot be read, or has another format.
        """

    def take(self, image: object) -> np.ndarray:
        """The same for an image in memory: a Pillow image, an array, or the bytes of a file.

        Raises:
            BadImageError: it is not an image, or has another format.
        """

    def picture(self, pixels: np.ndarray) -> np.ndarray:
        """The result of `read` or `take` for display: uint8 [H, W, 3] in RGB."""

    def size(self, path: str | os.PathLike) -> tuple[int, int] | None:
        """(width, height) in pixels of the upright image, from the beginning of its file; None for
        missing files and other formats.
        """

    def header(self, path: str | os.PathLike) -> Header:
        """From the beginning of a file; both False if it cannot be read."""

    def highest(self, path: str | os.PathLike) -> int:
        """The highest value in a file; 0 if it cannot be read."""


class RGB:
    """8 bits and three channels, whatever the files contain: grey is expanded to three channels,
    deeper pixels lose their lower bits.

    Args:
        pixel_range: see `to_8_bits`.
    """

    channels = 3
    dtype: ClassVar[type[np.number]] = np.uint8
    endings: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, pixel_range: int | None = None) -> None:
        self.pixel_range = pixel_range

    @property
    def options(self) -> dict[str, Any]:
        """See `ImageFormat`."""
        return {"pixel_range": self.pixel_range}

    def read(self, path: str | os.PathLike) -> np.ndarray:
        """See `read_image`."""
        return read_image(path, self.pixel_range)

    def take(self, image: object) -> np.ndarray:
        """See `to_rgb`."""
        return to_rgb(image, self.pixel_range)

    def picture(self, pixels: np.ndarray) -> np.ndarray:
        """The image itself."""
        return pixels

    def size(self, path: str | os.PathLike) -> tuple[int, int] | None:
        """See `ImageFormat`."""
        try:
            with Image.open(path) as image:
                return upright_size(image)
        except DECODE_ERRORS + (TypeError, KeyError):
            return None

    def header(self, path: str | os.PathLike) -> Header:
        """See `ImageFormat`."""
        try:
            with Image.open(path) as image:
                deep = image.mode.startswith("I") or ";16" in stored_as(image)
                return Header(getattr(image, "n_frames", 1) > 1, deep)
        except DECODE_ERRORS:
            return Header(False, False)

    def highest(self, path: str | os.PathLike) -> int:
        """Only the upper 8 bits of colours are known."""
        try:
            with Image.open(path) as image:
                highest = int(np.asarray(image).max())
                return highest if image.mode.startswith("I") else highest << 8 | 255
        except DECODE_ERRORS:
            return 0


EIGHT_BITS = RGB()
"""The default format."""


class MultiChannel:
    """Any number of channels of any depth, as in the files: a value v with more than 8 bits becomes
    v * 255 / pixel_range in float32; 8-bit values are unchanged.

    Args:
        channels: of every image.
        pixel_range: see `scaled`.
        shown: indices of the channels displayed as red, green and blue, or of a single one; None
            for the first three.

    Raises:
        UserError: an invalid number of channels, or an unknown channel.
    """

    dtype: ClassVar[type[np.number]] = np.float32
    endings: ClassVar[frozenset[str]] = frozenset({".npy"})

    def __init__(
        self, channels: int, pixel_range: int | None = None, shown: Sequence[int] | None = None
    ) -> None:
        if channels < 1:
            raise UserError(f"data.channels={channels} must be a positive whole number")
        first = tuple(min(index, channels - 1) for index in range(3))
        self.channels = channels
        self.pixel_range = pixel_range
        self.shown = first if shown is None else tuple(shown)
        if len(self.shown) not in (1, 3) or not {*self.shown} <= {*range(channels)}:
            raise UserError(
                f"data.shown_channels={[*self.shown]} must be one or three of the channels 0 to "
                f"{channels - 1}"
            )

    @property
    def options(self) -> dict[str, Any]:
        """See `ImageFormat`."""
        return {
            "channels": self.channels,
            "pixel_range": self.pixel_range,
            "shown_channels": self.shown,
        }

    def read(self, path: str | os.PathLike) -> np.ndarray:
        """See `ImageFormat`."""
        return scaled(load(path, self.channels), self.pixel_range, os.fspath(path))

    def take(self, image: object) -> np.ndarray:
        """See `ImageFormat`; for the channel axis of an array see `channels_last`."""
        name = IN_MEMORY
        if isinstance(image, bytes):
            return scaled(load(image, self.channels), self.pixel_range, name)
        if isinstance(image, Image.Image):
            values = bands(image, stored_as(image), name)
            return scaled(checked(values, self.channels, name), self.pixel_range, name)
        if not isinstance(image, np.ndarray) or not image.size:
            what = type(image).__name__
            raise BadImageError(
                f"{what} is no image: give the path or the bytes of a file, an array or an image "
                "of Pillow"
            )
        return scaled(channels_last(image, self.channels, name), self.pixel_range, name)

    def picture(self, pixels: np.ndarray) -> np.ndarray:
        """The displayed channels, each stretched between its own percentiles."""
        return np.stack([_stretched(pixels[..., index]) for index in _three(self.shown)], axis=-1)

    def size(self, path: str | os.PathLike) -> tuple[int, int] | None:
        """See `ImageFormat`."""
        try:
            height, width, _ = look(path, self.channels)
        except BadImageError:
            return None
        return width, height

    def header(self, path: str | os.PathLike) -> Header:
        """Pages are channels, and all are read."""
        try:
            return Header(has_pages=False, is_deep=look(path, self.channels).dtype != np.uint8)
        except BadImageError:
            return Header(False, False)

    def highest(self, path: str | os.PathLike) -> int:
        """For integers; floats do not determine the white level, however high they are."""
        try:
            values = load(path, self.channels)
        except BadImageError:
            return 0
        return int(values.max(initial=0)) if values.dtype.kind in "iu" else 0


def image_format(
    channels: int | None = None,
    pixel_range: int | None = None,
    shown_channels: Sequence[int] | None = None,
) -> ImageFormat:
    """The format for the options `data.channels`, `data.pixel_range` and `data.shown_channels`;
    `RGB` without channels.
    """
    if channels is None:
        return RGB(pixel_range)
    return MultiChannel(channels, pixel_range, shown_channels)


def image_format_of(data: Mapping) -> ImageFormat:
    """The format for the options of a `data` section, which may lack some; see `image_format`."""
    return image_format(*(data.get(key) for key in ("channels", "pixel_range", "shown_channels")))


def _three(indices: Sequence[int]) -> Sequence[int]:
    return [*indices] * 3 if len(indices) == 1 else indices


def _stretched(channel: np.ndarray) -> np.ndarray:
    """uint8 from [H, W]; black if it is constant."""
    rows, columns = (-(-side // _MEASURED) or 1 for side in channel.shape)
    low, high = np.percentile(channel[::rows, ::columns], _SHOWN_PERCENTILES)
    width: Any = high - low or np.inf
    return ((channel - low) * (255 / width)).clip(0, 255).astype(np.uint8)
