"""Converts a data set to another format."""

import logging
import os
from collections import Counter
from pathlib import Path

from hdetr_d2.data.formats.checking import check_found
from hdetr_d2.data.formats.finding import read_folder, tell
from hdetr_d2.data.formats.writers import WRITERS
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import EIGHT_BITS, ImageFormat
from hdetr_d2.utils.new_folder import new_folder, require_new

logger = logging.getLogger(__name__)


def convert_data(
    source: str | os.PathLike,
    target: str | os.PathLike,
    to: str,
    image_format: ImageFormat = EIGHT_BITS,
) -> None:
    """Writes the data set of a folder in another format, with copies of its images. What that
    format cannot represent is counted in the log.

    Args:
        source: a folder in any supported format.
        target: a new or empty folder; it is written completely or not at all.
        to: "coco", "yolo", "voc" or "cvat".
        image_format: of the image files.

    Raises:
        UserError: the source cannot be read or has errors, see `check_found`, or the target cannot
            be written.
    """
    if to not in WRITERS:
        raise UserError(f"there is no format {to!r} to write; there are: {', '.join(WRITERS)}")
    path = require_new(Path(target), "the folder")
    if path.resolve().is_relative_to(Path(source).expanduser().resolve()):
        raise UserError(f"{target} is in the folder that is read, {source}: give one outside of it")
    found = read_folder(source, image_format)
    tell(found)
    check_found(found, image_format)
    lost: Counter[str] = Counter()
    with new_folder(path) as draft:
        WRITERS[to](found, draft, lost)
    if losses := [f"{what} ({count})" for what, count in (+lost).items()]:
        logger.warning(f"the format {to} cannot say everything: {'; '.join(losses)}")
    logger.info(f"{path} has the data in the format {to}")
