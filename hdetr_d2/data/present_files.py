"""Image files before any is decoded: which exist, and how large the images are."""

import logging
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from hdetr_d2.data.coco_json.problem import first_of
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import EIGHT_BITS, ImageFormat

logger = logging.getLogger(__name__)


def missing_files(paths: Iterable[str]) -> list[str]:
    """The files that do not exist. Each folder is listed once, which is faster than checking each
    file; names that are not listed are checked, since some file systems ignore case.
    """
    listed: dict[str, set[str]] = {}
    missing = []
    for path in paths:
        folder, name = os.path.split(path)
        if folder not in listed:
            listed[folder] = set(_list(folder))
        if name not in listed[folder] and not os.path.exists(path):
            missing.append(path)
    return missing


def check_files(paths: Sequence[str], source: str, option: str, on_bad_image: str) -> None:
    """Looks for all images of a data set.

    Args:
        paths: their files.
        source: how messages refer to the data set.
        option: the option that decides about bad images.
        on_bad_image: its value, "stop" or "skip".

    Raises:
        UserError: all are missing, or some are and the policy is to stop.
    """
    if not (missing := missing_files(paths)):
        return
    text = f"{len(missing)} of {len(paths)} images of {source} do not exist: {first_of(missing)}"
    text += why_missing(missing[0])
    skip_or_stop(text, option, on_bad_image, is_all=len(missing) == len(paths))


def why_missing(path: str) -> str:
    """An addition to a message if a name explains why its file is not found, otherwise ""."""
    if os.sep == "/" and "\\" in path:
        return " (backslashes, as of Windows, are no folders here: write /)"
    return ""


def skip_or_stop(text: str, option: str, on_bad_image: str, *, is_all: bool) -> None:
    """Warns about unusable images, or stops.

    Args:
        text: which they are, and why.
        option, on_bad_image: see `check_files`.
        is_all: whether there are no others.

    Raises:
        UserError: the policy is to stop, or there are no others.
    """
    if is_all:
        raise UserError(text)
    if on_bad_image != "skip":
        raise UserError(f"{text}; {option}=skip goes on without them")
    logger.warning(f"{text}; they are skipped")


def sizes_of(
    paths: Sequence[str], image_format: ImageFormat = EIGHT_BITS, num_threads: int = 16
) -> list[tuple[int, int] | None]:
    """(width, height) of images as displayed, from the beginnings of their files; None for missing
    files and other formats.
    """
    with ThreadPoolExecutor(num_threads) as pool:
        return list(pool.map(image_format.size, paths))


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder or ".")
    except OSError:
        return []
