"""Image files of any common kind as 8-bit RGB, upright."""

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
"""How messages refer to it."""
# Exceptions of Pillow's decoders for broken files.
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
    """Reads an image as RGB, rotated by its EXIF orientation; the first of several pages.

    Grey, palette, CMYK and similar images are converted; transparency is dropped.

    Args:
        pixel_range: white level of pixels with more than 8 bits; see `to_8_bits`.

    Returns:
        uint8 [H, W, 3].

    Raises:
        BadImageError: the file is missing, truncated or not a readable image.
    """
    path = os.fspath(path)
    try:
        # Not by its name: Pillow would memory-map a TIFF with the dimensions it has after rotation.
        with open(path, "rb") as file:
            return _decoded(file, path, pixel_range)
    except FileNotFoundError:
        raise BadImageError(f"{path} does not exist") from None
    except DECODE_ERRORS as error:
        raise BadImageError(f"{path} cannot be read as an image: {reason_of(error)}") from None


def _decoded(file: BinaryIO, name: str, pixel_range: int | None) -> np.ndarray:
    """The image in an opened file.

    Raises:
        BadImageError: it is not a readable image.
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
    """How messages describe a decoder's error."""
    if isinstance(error, UnidentifiedImageError):  # whose message contains a memory address
        return "its format is unknown"
    return " ".join(str(error).split())


def to_rgb(image: object, pixel_range: int | None = None) -> np.ndarray:
    """Converts an image in memory, like `read_image` for files.

    Args:
        image: a Pillow image; or an array of integers: [H, W, 3] in RGB, or grey [H, W]; or the
            bytes of a file.
        pixel_range: see `read_image`; for pixels other than uint8.

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
        f"{what} is no image: give the path or the bytes of a file, an image of Pillow, or an "
        "array uint8 [height, width, 3]"
    )


def check_size(path: str, image: np.ndarray, width: int, height: int) -> None:
    """Compares an image [H, W, 3] with the size stated by its data set.

    Raises:
        BadImageError: they differ, so the boxes cannot be right either.
    """
    if fault := size_fault(path, (image.shape[1], image.shape[0]), (width, height)):
        hint = "where the boxes are right, data.sizes_from_files=True takes the sizes of the files"
        raise BadImageError(f"{fault}; {hint}")


def size_fault(
    path: str | os.PathLike, found: tuple[int, int], stated: tuple[int, int]
) -> str | None:
    """A sentence if an image does not have the size stated by its data set, otherwise None.

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
        # Some versions and formats return 16 bits as 32.
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
    """How an opened file stores its pixels, in Pillow's notation, in which ";16" means 16 bits; ""
    once they are loaded.
    """
    return " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) of an opened file after it is rotated upright."""
    # For TIFFs Pillow reports the rotated size from the start.
    turned = image.format != "TIFF" and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    width, height = image.size
    return (height, width) if turned else (width, height)


def upright(image: Image.Image) -> Image.Image:
    """The image, loaded and rotated by its EXIF orientation."""
    # Pixels before the tag: Pillow rotates a TIFF while loading it, and removes its tag.
    image.load()
    try:
        turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except DECODE_ERRORS + (TypeError, KeyError):
        turn = None  # a broken EXIF block does not affect the pixels
    return image if turn is None else image.transpose(turn)
