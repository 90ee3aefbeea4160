"""Writes detections for other tools: one writer per format, which receives the images one by
one.
"""

import csv
import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hdetr_d2.errors import UserError
from hdetr_d2.runtime.results import Result, coco_content
from hdetr_d2.runtime.tables import columns_of, rows_of
from hdetr_d2.utils.strict_json import to_json

logger = logging.getLogger(__name__)

_DIGITS = 6
"""Digits of coordinates in polygons, which have many corners: precise to less than a hundredth of a
pixel.
"""


class Writer(Protocol):
    """A file being written.

    lost: maps what the format cannot represent to its number of occurrences.
    """

    lost: Counter[str]

    def write(self, image: Mapping[str, Any], results: Sequence[Result]) -> None:
        """Adds an image with its detections; see `Results`."""

    def close(self) -> None:
        """Finishes the file."""


class CocoWriter:
    """A COCO json with images, annotations and categories, which is held in memory until `close`.

    Args:
        path: path of the file.
        class_names: by class index.
    """

    ending = ".json"

    def __init__(self, path: Path, class_names: Sequence[str]) -> None:
        self.lost: Counter[str] = Counter()
        self.file = path.open("w", encoding="utf-8")
        self.class_names = class_names
        self.images: list[Mapping[str, Any]] = []
        self.results: list[Result] = []

    def write(self, image: Mapping[str, Any], results: Sequence[Result]) -> None:
        self.images.append(image)
        self.results += results

    def close(self) -> None:
        with self.file:
            self.file.write(to_json(coco_content(self.images, self.results, self.class_names)))


def json_line(image: Mapping[str, Any], results: Sequence[Result]) -> dict[str, Any]:
    """An image's entry, and its "detections" with all fields except those about the image."""
    told = ("image_id", "file_name")  # already in the entry of the image
    found = [{k: v for k, v in result.items() if k not in told} for result in results]
    return {**image, "detections": found}


class JsonLinesWriter:
    """One line per image, see `json_line`; otherwise like `CocoWriter`."""

    ending = ".jsonl"

    def __init__(self, path: Path, class_names: Sequence[str]) -> None:
        self.lost: Counter[str] = Counter()
        self.file = path.open("w", encoding="utf-8")

    def write(self, image: Mapping[str, Any], results: Sequence[Result]) -> None:
        self.file.write(to_json(json_line(image, results), ensure_ascii=False) + "\n")

    def close(self) -> None:
        self.file.close()


class CsvWriter:
    """One row per detection, corners in pixels; otherwise like `CocoWriter`."""

    ending = ".csv"

    def __init__(self, path: Path, class_names: Sequence[str]) -> None:
        self.lost: Counter[str] = Counter()
        self.file = path.open("w", encoding="utf-8", newline="")
        self.table: csv.DictWriter | None = None

    def write(self, image: Mapping[str, Any], results: Sequence[Result]) -> None:
        self._table([image]).writerows(rows_of(image, results))
        self.lost["masks"] += sum("segmentation" in result for result in results)

    def close(self) -> None:
        self._table([])
        self.file.close()

    def _table(self, images: Sequence[Mapping[str, Any]]) -> csv.DictWriter:
        """The CSV table; its header is written with the first image, or at the end if there is
        none.
        """
        if self.table is None:
            self.table = csv.DictWriter(self.file, columns_of(images))
            self.table.writeheader()
        return self.table


class YoloWriter:
    """`labels/`, with one text file per image and one line per object: class index and, as
    fractions of the image, a box (centre, width, height) or, for an object with a mask, its
    outline; and `classes.txt`.

    Args:
        path: path of the folder. Files are named after the images, relative to their common folder;
            names of frames include their number.
        class_names: by class index.
    """

    ending = ""

    def __init__(self, path: Path, class_names: Sequence[str]) -> None:
        self.lost: Counter[str] = Counter()
        self.folder = path
        self.labels: list[tuple[Path, str]] = []
        path.mkdir(parents=True, exist_ok=True)
        names = "".join(f"{name}\n" for name in class_names)
        (path / "classes.txt").write_text(names, encoding="utf-8")

    def write(self, image: Mapping[str, Any], results: Sequence[Result]) -> None:
        self.labels.append((_place(image), "".join(self._lines(image, results))))
        self.lost["scores"] += len(results)
        self.lost["tracks"] += sum(result.get("track_id") is not None for result in results)

    def close(self) -> None:
        root = os.path.commonpath([place.parent for place, _ in self.labels] or [Path.cwd()])
        taken: set[Path] = set()
        for place, lines in self.labels:
            target = self.folder / "labels" / place.relative_to(root)
            short = target.with_suffix(".txt")
            if short in taken:
                short = target.with_name(f"{target.name}.txt")
                logger.warning("%s: its labels are in %s, as others have its name", place, short)
            taken.add(short)
            short.parent.mkdir(parents=True, exist_ok=True)
            short.write_text(lines, encoding="utf-8")

    def _lines(self, image: Mapping[str, Any], results: Sequence[Result]) -> Iterator[str]:
        sides = np.array([image["width"], image["height"]])
        for result in results:
            box = np.array(result["bbox"])
            start, stop = (corner.clip(0, sides) / sides for corner in (box[:2], box[:2] + box[2:]))
            numbers = [*((start + stop) / 2).tolist(), *(stop - start).tolist()]
            if "segmentation" in result:
                numbers = _polygon(result["segmentation"], start, stop)
            yield f"{result['category_id'] - 1} {' '.join(map(repr, numbers))}\n"


def _polygon(mask: Mapping[str, Any], start: np.ndarray, stop: np.ndarray) -> list[float]:
    """Corners of a mask (or of the box if the mask is empty) as fractions: readers treat all lines
    of a file with polygons as polygons.
    """
    import pycocotools.mask as mask_utils  # needed for masks only

    from hdetr_d2.pixels.outlines import outline

    corners = outline(mask_utils.decode(mask).astype(bool)) / np.array(mask["size"])[::-1]
    if not len(corners):
        corners = np.array([start, (stop[0], start[1]), stop, (start[0], stop[1])])
    return corners.ravel().round(_DIGITS).tolist()


def _place(image: Mapping[str, Any]) -> Path:
    """The path of an image file, or a suitable name for an image in memory or a frame."""
    path = Path(os.path.abspath(image["file_name"] or "image"))
    is_file = image["file_name"] is not None and "time" not in image
    return path if is_file else path.with_name(f"{path.stem}_{image['id']}{path.suffix}")


WRITERS: dict[str, Any] = {
    "coco": CocoWriter,
    "csv": CsvWriter,
    "jsonl": JsonLinesWriter,
    "yolo": YoloWriter,
}
"""Format -> writer class, called with a path and the class names."""
_BY_ENDING = {kind.ending: name for name, kind in WRITERS.items() if kind.ending}


def format_of(path: Path) -> str | None:
    """The format implied by the ending of a file, or None."""
    return _BY_ENDING.get(path.suffix.lower())


def place_in(folder: Path, format: str) -> Path:
    """The path at which a format is written inside a folder."""
    ending = WRITERS[format].ending
    return folder / f"predictions{ending}" if ending else folder


@contextmanager
def open_writer(
    path: str | Path, class_names: Sequence[str], format: str | None = None
) -> Iterator[Writer]:
    """Context manager that opens a writer and always closes it; logs what its format cannot
    represent.

    Args:
        path, format: see `Results.save`.
        class_names: by class index.

    Raises:
        UserError: an unknown format, or the file cannot be written.
    """
    path = Path(path)
    name = format or format_of(path)
    if name not in WRITERS:
        told = f"{path} tells no format by its ending" if format is None else f"no format {name!r}"
        raise UserError(f"{told}: there are {', '.join(WRITERS)}")
    with _writing_to(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        writer: Writer = WRITERS[name](path, class_names)
    try:
        yield writer
    finally:
        with _writing_to(path):
            writer.close()
        if left_out := ", ".join(f"{n} {what}" for what, n in (+writer.lost).items()):
            logger.warning("%s: the format %s leaves out %s", path, name, left_out)


@contextmanager
def _writing_to(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {path}: {error.strerror}") from None
