"""Folders of images that are gone for a while, as those of a network are."""

import logging
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch.utils.data import get_worker_info

from hdetr_d2.pixels.images import BadImageError

logger = logging.getLogger(__name__)
Sample = TypeVar("Sample")

INTERVAL = 1.0
"""Seconds from one look to the next."""


def patiently(read: Callable[[], Sample], entry: Mapping[str, Any], seconds: float) -> Sample:
    """What `read` gives of an entry; where the folder of its file is gone, once that is back.

    Args:
        entry: of a data set; with "file_name", where its image is a file.
        seconds: to wait at most.

    Raises:
        BadImageError: the image cannot be read, and its folder is there; or not by then.
    """
    folder = os.path.dirname(entry.get("file_name", ""))
    waited = 0.0
    while True:
        try:
            return read()
        except BadImageError as error:
            if not is_gone(folder):
                raise
            if waited >= seconds:
                raise BadImageError(f"{error}: {folder} is gone, for {waited:.0f} s now") from None
        if not waited and _tells():
            logger.warning("%s is gone: its return is awaited for %g s", folder, seconds)
        time.sleep(INTERVAL)
        waited += INTERVAL
        if not is_gone(folder) and _tells():
            logger.warning("%s is back, and no image was left out", folder)


def is_gone(folder: str) -> bool:
    """Whether there is nothing where there were images: a folder is empty where nothing is mounted
    on it.
    """
    try:
        with os.scandir(folder or ".") as files:
            return next(files, None) is None
    except OSError:
        return True


def _tells() -> bool:
    """One process tells for all that load data beside it."""
    worker = get_worker_info()
    return worker is None or worker.id == 0
