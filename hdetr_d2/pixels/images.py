"""An image file of any common kind as 8-bit RGB, upright."""

import io
import os
import struct
from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from hdetr_d2.pixels.deep_pixels import BadImageError, to_8_bits
from hdetr_d2.utils.git_lfs import why_unreadable

ORIENTATION = 0x0112
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
IN_MEMORY = "an image in memory"
"""What sentences call it."""
# What Pillow's decoders raise on broken files.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    Image.DecompressionBombError,
)


def read_image(path: str | os.PathLike, pixel_range: int | None = None) -> np.ndarray:
    """Read an image as RGB, turned as its EXIF orientation says; of several pages the first.

    Grey, palette, CMYK and the like are converted, transparency is dropped.

    Args:
        pixel_range: the value that is white where pixels have more than 8 bits; see `to_8_bits`.

    Returns:
        uint8 [H, W, 3].

    Raises:
        BadImageError: missing, truncated or not an image that can be read.
    """
    path = os.fspath(path)
    try:
        # Not by its name: Pillow maps a TIFF into memory by the sides it has once it is turned.
        with open(path, "rb") as file:
            return _decoded(file, path, pixel_range)
    except FileNotFoundError:
        raise BadImageError(f"{path} does not exist") from None
    except DECODE_ERRORS as error:
        raise BadImageError(f"{path} cannot be read as an image: {reason_of(error)}") from None


def _decoded(file: BinaryIO, name: str, pixel_range: int | None) -> np.ndarray:
    """What is in an opened file.

    Raises:
        BadImageError: it is no image that can be read.
    """
    try:
        with Image.open(file) as image:
            return _pixels(image, name, pixel_range)
    except DECODE_ERRORS as error:
        reason = why_unreadable(name, reason_of(error))
        is_unknown = isinstance(error, UnidentifiedImageError)
        if is_unknown and name.lower().endswith((".npy", ".tif", ".tiff")):
            reason += "; data.channels reads images of other channels than red, green and blue"
        raise BadImageError(f"{name} cannot be read as an image: {reason}") from None


def reason_of(error: Exception) -> str:
    """What a sentence says of an error of a decoder."""
    if isinstance(error, UnidentifiedImageError):  # which tells an address in memory
        return "its format is unknown"
    return " ".join(str(error).split())


def to_rgb(image: object, pixel_range: int | None = None) -> np.ndarray:
    """An image in memory as `read_image` gives that of a file.

    Args:
        image: of Pillow; or an array of integers: [H, W, 3] in RGB, or grey [H, W]; or the bytes of
            a file.
        pixel_range: as for `read_image`, of pixels that are not uint8.

    Returns:
        uint8 [H, W, 3].

    Raises:
        BadImageError: it is anything else, or empty.
    """
    if isinstance(image, bytes):
        return _decoded(io.BytesIO(image), IN_MEMORY, pixel_range)
    if isinstance(image, np.ndarray) and image.dtype.kind in "iu" and image.dtype != np.uint8:
        image = to_8_bits(image, pixel_range, IN_MEMORY)
    try:
        picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    except (TypeError, ValueError):
        picture = None
    if isinstance(picture, Image.Image) and min(picture.size) > 0:
        try:
            return _pixels(picture, IN_MEMORY, pixel_range)
        except DECODE_ERRORS as error:
            raise BadImageError(f"{IN_MEMORY} cannot be decoded: {error}") from None
    what = type(image).__name__
    if isinstance(image, np.ndarray):
        what = f"{image.dtype} {list(image.shape)}"
    raise BadImageError(
        f"{what} is no image: give a file, an image of Pillow, or an array uint8 [height, width, 3]"
    )


def check_size(path: str, image: np.ndarray, width: int, height: int) -> None:
    """Compare an image [H, W, 3] with the size that its data set states.

    Raises:
        BadImageError: they differ, so the boxes cannot be right either.
    """
    if fault := size_fault(path, (image.shape[1], image.shape[0]), (width, height)):
        hint = "where the boxes are right, data.sizes_from_files=True takes the sizes of the files"
        raise BadImageError(f"{fault}; {hint}")


def size_fault(
    path: str | os.PathLike, found: tuple[int, int], stated: tuple[int, int]
) -> str | None:
    """A sentence where an image is not of the size that its data set states; else None.

    Args:
        found, stated: width and height.
    """
    if found == stated:
        return None
    turned = " (turned: the annotations seem to ignore its EXIF orientation)"
    hint = turned if found == stated[::-1] else ""
    size, other = (f"{width} x {height}" for width, height in (found, stated))
    return f"{path} is {size} pixels, but its data set says {other}{hint}"


def _pixels(image: Image.Image, name: str, pixel_range: int | None) -> np.ndarray:
    stored = stored_as(image)
    image = upright(image)
    if image.mode == "F":
        raise BadImageError(f"{name} has floating-point pixels; convert it to 8 bits")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        # Some versions and formats give 16 bits as 32.
        values = values.astype(np.uint16) if ";16" in stored and "S" not in stored else values
        image = Image.fromarray(to_8_bits(values, pixel_range, name))
    elif ";16" in stored and pixel_range not in (None, 65535):
        raise BadImageError(
            f"{name} has colours of 16 bits, of which only the upper 8 can be read: "
            f"data.pixel_range={pixel_range} cannot be had; convert it to 8 bits"
        )
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))


def stored_as(image: Image.Image) -> str:
    """How the pixels of an opened file lie in it, in Pillow's words, which tell 16 bits by ";16";
    "" once they are loaded.
    """
    return " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) of an opened file once it is turned upright."""
    # Of a TIFF Pillow knows the turned size from the start.
    turned = image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    width, height = image.size
    return (height, width) if turned else (width, height)


def upright(image: Image.Image) -> Image.Image:
    """The image, loaded and turned as its EXIF orientation says."""
    # First the pixels, then the tag: Pillow turns a TIFF while it is loaded, and drops its tag.
    image.load()
    try:
        turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except DECODE_ERRORS + (TypeError, KeyError):
        turn = None  # a broken EXIF block says nothing about the pixels
    return image if turn is None else image.transpose(turn)
