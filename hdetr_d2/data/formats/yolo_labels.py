"""YOLO's label files: where they are, and which of them have no image."""

import re
from collections.abc import Iterable
from pathlib import Path

from hdetr_d2.data.formats.pictures import is_picture
from hdetr_d2.pixels import ImageFormat

_LABELS = r"\d+( +-?[\d.e+-]+){4,}"
"""A class, and at least four numbers."""
_LONGEST = 1000  # characters per line


def label_file(image: Path) -> Path:
    """The label file of an image: in `labels` if the image is in `images`, otherwise beside it."""
    parts = list(image.parts)
    places = [index for index, part in enumerate(parts[:-1]) if part == "images"]
    beside = image.with_suffix(".txt")
    if not places:
        return beside
    parts[places[-1]] = "labels"
    found = Path(*parts).with_suffix(".txt")
    return beside if beside.is_file() and not found.is_file() else found


def looks_like_labels(path: Path) -> bool:
    """Whether the first line of a text file is an object."""
    try:
        with path.open(encoding="utf-8") as file:
            line = file.readline(_LONGEST).strip()
    except (OSError, UnicodeDecodeError):
        return False
    return re.fullmatch(_LABELS, line) is not None


def labels_alone(images: Iterable[Path], image_format: ImageFormat) -> list[Path]:
    """Label files with objects, beside those of the images, that have no image: it is missing, or
    its ending is unknown.
    """
    places: dict[Path, set[Path]] = {}
    for image in images:
        places.setdefault(label_file(image).parent, set()).add(image.parent)
    alone = []
    for labels, folders in places.items():
        files = (file for folder in folders for file in folder.glob("*"))
        stems = {file.stem for file in files if is_picture(file, image_format)}
        others = (path for path in sorted(labels.glob("*.txt")) if path.stem not in stems)
        alone += [path for path in others if looks_like_labels(path)]
    return alone
