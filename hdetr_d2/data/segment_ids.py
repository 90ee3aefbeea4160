"""The segments of an image: a PNG that assigns pixels to segments, and the json that lists them."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from hdetr_d2.pixels.images import DECODE_ERRORS, BadImageError, check_size

PLACES = np.array([1, 256, 256**2])
"""Weights of red, green and blue in an id."""


class SegmentIds(NamedTuple):
    """The segment id of each pixel, int64 [H, W], 0 where there is none or its id is not listed;
    and the mismatches: unlisted ids of pixels, and listed ids without pixels.
    """

    pixels: np.ndarray
    unlisted: list[int]
    absent: list[int]


def read_segment_ids(
    path: str | os.PathLike, segments: Sequence[Mapping], size: tuple[int, int] | None = None
) -> SegmentIds:
    """Ids are colours, R + 256 G + 256^2 B, as in COCO, or the values of a grey picture with 8 or
    16 bits, or palette indices (or the palette's colours, if those are listed).

    Args:
        segments: the listed segments, with `id`.
        size: (H, W) of the image they belong to.

    Raises:
        BadImageError: the file cannot be read, has another size, or contains none of the segments.
    """
    path = os.fspath(path)
    listed = {segment["id"] for segment in segments}
    try:
        with open(path, "rb") as file, Image.open(file) as picture:
            pixels = min(_readings(picture, path), key=lambda ids: len(_ids(ids) - listed))
    except FileNotFoundError:
        raise BadImageError(f"{path} does not exist") from None
    except DECODE_ERRORS as error:
        raise BadImageError(f"{path} cannot be read as segments: {error}") from None
    if size is not None:
        check_size(path, pixels, size[1], size[0])
    found = _ids(pixels)
    _check_agreement(path, found, listed)
    if unlisted := sorted(found - listed):
        pixels[np.isin(pixels, unlisted)] = 0
    return SegmentIds(pixels, unlisted, sorted(listed - found))


def few(ids: Collection[int]) -> str:
    """The first few."""
    first = ", ".join(map(str, sorted(ids)[:3]))
    return f"{first}, ..." if len(ids) > 3 else first


def _readings(picture: Image.Image, path: str) -> Iterator[np.ndarray]:
    """Possible interpretations of a picture, the most common first."""
    if picture.format == "JPEG":
        raise BadImageError(f"{path} is a JPEG, which changes the ids of segments: write a PNG")
    if picture.mode == "P":
        yield np.array(picture, dtype=np.int64)
        picture = picture.convert("RGB")
    pixels = np.array(picture)
    if pixels.dtype.kind not in "biu" or picture.mode == "CMYK":
        raise BadImageError(f"{path} has pixels of the kind {picture.mode}, which cannot be ids")
    if pixels.ndim == 2:
        yield pixels.astype(np.int64)
    elif pixels.shape[2] == 2:  # grey and alpha
        yield pixels[..., 0].astype(np.int64)
    else:
        yield pixels[..., :3].astype(np.int64) @ PLACES


def _ids(pixels: np.ndarray) -> set[int]:
    return {*np.unique(pixels).tolist()} - {0}


def _check_agreement(path: str, found: set[int], listed: set[int]) -> None:
    if found - listed and {_swapped(id_) for id_ in found} <= listed:
        raise BadImageError(
            f"{path} has red and blue swapped, as OpenCV writes arrays that are RGB: with these "
            "changed back, its ids are those of segments_info"
        )
    if listed and not found & listed:
        what = f"the ids {few(found)}" if found else "no segment"
        raise BadImageError(f"{path} has {what}, and none of its segments_info: {few(listed)}")


def _swapped(id_: int) -> int:
    """An id with red and blue swapped."""
    return id_ // 256**2 + id_ // 256 % 256 * 256 + id_ % 256 * 256**2
