"""Finds image files, given by name or in folders."""

import logging
from collections.abc import Iterable, Sequence
from functools import cache
from mimetypes import guess_type
from pathlib import Path
from typing import Any

from PIL import Image

from hdetr_d2.data.survey import few
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import EIGHT_BITS, ImageFormat

logger = logging.getLogger(__name__)

Source = str | Path
# Formats known to Pillow that are documents, or that Pillow only identifies.
_NO_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}
# Formats that can store any RGB image; Pillow does not reliably recognise others.
_DRAWN_IN_PLACE = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}


@cache
def endings() -> frozenset[str]:
    """Endings of all formats that Pillow reads; its plugins are imported at the first call."""
    known = Image.registered_extensions()  # imports Pillow's own plugins
    readable = Image.OPEN.keys() - _NO_PICTURES
    return frozenset(ending for ending, form in known.items() if form in readable)


def is_drawn_in_place(path: Path) -> bool:
    """Whether every picture can be stored under the ending of `path`."""
    return path.suffix.lower() in _DRAWN_IN_PLACE


def find_images(
    sources: Source | Sequence[Source],
    *,
    besides: Path | None = None,
    image_format: ImageFormat = EIGHT_BITS,
) -> list[Path]:
    """All image files that are named, or are in or below a named folder; those of one folder are
    sorted.

    Args:
        besides: a folder to skip if it is below a named one.
        image_format: may add endings.

    Raises:
        UserError: a source that does not exist, a video, or no images at all.
    """
    given: Any = [sources] if isinstance(sources, str) else sources
    listed = list(given) if isinstance(given, Iterable) else [given]
    if odd := [source for source in listed if not isinstance(source, str | Path)]:
        raise UserError(
            f"images are files and folders here, not of type {type(odd[0]).__name__}: "
            "hdetr_d2.Predictor(checkpoint) takes images in memory"
        )
    found: dict[Path, None] = {}
    for source in map(Path, listed):
        if source.is_dir():
            found |= dict.fromkeys(_images_below(source, besides, image_format))
        elif source.is_file() and _is_video(source):
            raise UserError(
                f"{source} is a video: --input {source}, or hdetr_d2.predict_video, looks at that"
            )
        elif source.is_file():
            found[source] = None
        else:
            raise UserError(f"{source} does not exist")
    if not listed:
        raise UserError("no images were given: name files or folders of them")
    if not found:
        raise UserError(f"no images (by their endings) in {', '.join(map(str, listed))}")
    return list(found)


def _is_video(path: Path) -> bool:
    return (guess_type(path.name)[0] or "").startswith("video/")


def _images_below(folder: Path, besides: Path | None, image_format: ImageFormat) -> Iterable[Path]:
    known = endings() | image_format.endings
    left_out = None if besides is None else besides.resolve()
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (left_out is None or left_out not in path.resolve().parents)
    ]
    images = [path for path in files if path.suffix.lower() in known]
    if others := [str(path) for path in files if path.suffix.lower() not in known]:
        logger.info(f"{folder}: {len(others)} files are left out, as no images: {few(others)}")
    return images
