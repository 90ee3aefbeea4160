"""Images of a data set's folder that its annotations do not name."""

import os

from hdetr_d2.data.formats.content import Found
from hdetr_d2.data.formats.looking import relative
from hdetr_d2.data.formats.pictures import pictures_below
from hdetr_d2.data.survey import few
from hdetr_d2.pixels import ImageFormat


def unnamed_images(found: Found, image_format: ImageFormat) -> list[str]:
    """A sentence that counts them; nothing if there are none."""
    named = {os.path.abspath(file) for part in found.parts.values() for file in part.files}
    others = [
        relative(file, found.folder)
        for file in pictures_below(found.folder, image_format)
        if os.path.abspath(file) not in named
    ]
    if not others:
        return []
    return [f"images left out, as the annotations do not name them: {len(others)} ({few(others)})"]
