"""Checks the image files of a data set before they are used: their bit depth, and pages that are
not read.
"""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from hdetr_d2.data.coco_json import Problem
from hdetr_d2.pixels import EIGHT_BITS, ImageFormat
from hdetr_d2.pixels.deep_pixels import likely_white

logger = logging.getLogger(__name__)

LOOKED_INTO = 100
"""Number of deep files, spread over the data set, that are decoded."""
_THREADS = 4
# JPEG has 8 bits; what follows the picture (previews, depth maps) does not count as pages.
_PLAIN = {".jpg", ".jpeg", ".jpe", ".jfif"}


class Survey(NamedTuple):
    """Files with several pages, of which only the first is read; files with more than 8 bits per
    pixel, and the highest value in those that were decoded.
    """

    with_pages: list[str]
    deep: list[str]
    highest: int


def survey(paths: Sequence[str], image_format: ImageFormat = EIGHT_BITS) -> Survey:
    """Reads the headers of all files except JPEGs, and the pixels of some of the deep ones.
    Unreadable files are ignored here, and reported when they are read.
    """
    asked = [path for path in paths if Path(path).suffix.lower() not in _PLAIN]
    with ThreadPoolExecutor(_THREADS) as pool:
        headers = list(zip(asked, pool.map(image_format.header, asked), strict=True))
        deep = [path for path, header in headers if header.is_deep]
        highest = max(pool.map(image_format.highest, spread(deep)), default=0)
    return Survey([path for path, header in headers if header.has_pages], deep, highest)


def spread(paths: Sequence[str]) -> Sequence[str]:
    """The files that are decoded."""
    return paths[:: -(-len(paths) // LOOKED_INTO) or 1]


def pixel_range(deep: Sequence[str], highest: int) -> int | None:
    """The white level of a data set, which is logged; None if everything has 8 bits.

    Args:
        deep, highest: from a survey.
    """
    if not deep or highest == 0:
        return None
    logger.warning(range_sentence(deep, highest))
    return likely_white(highest)


def range_sentence(deep: Sequence[str], highest: int) -> str:
    white = likely_white(highest)
    return (
        f"{len(deep)} image files have more than 8 bits a pixel, with values up to {highest}: "
        f"{white} is taken as white in all of them (data.pixel_range={white}): {few(deep)}"
    )


def survey_problems(
    source: str, paths: Sequence[str], image_format: ImageFormat = EIGHT_BITS
) -> Iterator[Problem]:
    """Messages about the files of a data set, none of them an error.

    Args:
        source: the file that lists them.
        image_format: how they are read.
    """
    found = survey(paths, image_format)
    if found.with_pages:
        text = f"{source}: {pages_sentence(found.with_pages)}"
        yield Problem("files with several pages", text, is_error=False)
    if found.deep:
        text = f"{source}: {range_sentence(found.deep, found.highest)}"
        yield Problem("more than 8 bits a pixel", text, is_error=False)


def pages_sentence(paths: Sequence[str]) -> str:
    count = f"{len(paths)} image files have" if len(paths) > 1 else "an image file has"
    return f"{count} several pages, of which the first is read: {few(paths)}"


def few(paths: Sequence[str]) -> str:
    """The first names of a list."""
    return ", ".join([*map(str, paths[:3]), *(["..."] if len(paths) > 3 else [])])
