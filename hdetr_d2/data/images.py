"""An image file of any common kind as 8-bit RGB, upright."""

import os
import struct

import numpy as np
from PIL import Image

from hdetr_d2.errors import UserError

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


class BadImageError(UserError):
    """An image file that cannot be used; a loader may leave it out and go on."""


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Read an image as RGB, turned as its EXIF orientation says.

    Grey, palette, CMYK and the like are converted, transparency is dropped, 16 bits become 8.

    Returns:
        uint8 [H, W, 3].

    Raises:
        BadImageError: missing, truncated or not an image that can be read.
    """
    path = os.fspath(path)
    try:
        with Image.open(path) as image:
            return np.array(_rgb(_upright(image), path))
    except FileNotFoundError:
        raise BadImageError(f"{path} does not exist") from None
    except DECODE_ERRORS as error:
        raise BadImageError(f"{path} cannot be read as an image: {error}") from None


def to_rgb(image: object) -> np.ndarray:
    """An image in memory as `read_image` gives that of a file.

    Args:
        image: of Pillow, or an array that Pillow takes: uint8 [H, W, 3] in RGB, or grey [H, W].

    Returns:
        uint8 [H, W, 3].

    Raises:
        BadImageError: it is anything else, or empty.
    """
    try:
        picture = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    except (TypeError, ValueError):
        picture = None
    if isinstance(picture, Image.Image) and min(picture.size) > 0:
        try:
            return np.array(_rgb(_upright(picture), "an image in memory"))
        except DECODE_ERRORS as error:
            raise BadImageError(f"an image in memory cannot be decoded: {error}") from None
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
    found = (image.shape[1], image.shape[0])
    if found == (width, height):
        return
    turned = " (turned: the annotations seem to ignore its EXIF orientation)"
    hint = turned if found == (height, width) else ""
    raise BadImageError(
        f"{path} is {found[0]} x {found[1]} pixels, but its data set says {width} x {height}{hint}"
    )


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    except DECODE_ERRORS + (TypeError, KeyError):
        turn = None  # a broken EXIF block says nothing about the pixels
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image, path: str) -> Image.Image:
    if image.mode == "F":
        raise BadImageError(f"{path} has floating-point pixels; convert it to 8 bits")
    if image.mode.startswith("I"):
        # Pillow would clip everything above 255 to white.
        grey = np.asarray(image).astype(np.int64).clip(0, 65535) // 257
        return Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    return image.convert("RGB")
