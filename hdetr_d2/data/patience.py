"""Waits for image folders that disappear for a while, such as network folders."""

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
"""Seconds between attempts."""


def patiently(read: Callable[[], Sample], entry: Mapping[str, Any], seconds: float) -> Sample:
    """The result of `read` for an entry; if the folder of its file has disappeared, waits for it to
    return.

    Args:
        entry: of a data set, with "file_name" if its image is a file.
        seconds: maximum waiting time.

    Raises:
        BadImageError: the image cannot be read although its folder exists, or the folder has not
            returned in time.
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
            logger.warning("%s has disappeared: waiting up to %g s for its return", folder, seconds)
        time.sleep(INTERVAL)
        waited += INTERVAL
        if not is_gone(folder) and _tells():
            logger.warning("%s is back, and no image was left out", folder)


def is_gone(folder: str) -> bool:
    """Whether there is nothing where images used to be: a mount point without a mount is an empty
    folder.
    """
    try:
        with os.scandir(folder or ".") as files:
            return next(files, None) is None
    except OSError:
        return True


def _tells() -> bool:
    """One process reports for all loading processes."""
    worker = get_worker_info()
    return worker is None or worker.id == 0
