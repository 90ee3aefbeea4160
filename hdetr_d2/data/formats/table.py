"""Tables: a csv with one box per row, as written by Roboflow, VoTT, Open Images, RetinaNet's
readers and many scripts. Corners are in pixels, or fractions of the image's size.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

from hdetr_d2.data.formats.content import Found, Labelled, Picture, labels_of, parts_of
from hdetr_d2.data.formats.dividing import split_of, split_of_path
from hdetr_d2.data.formats.looking import files_below, read_text, relative
from hdetr_d2.data.formats.pictures import Pictures, sizes
from hdetr_d2.data.formats.table_columns import EDGES, columns_of, is_box
from hdetr_d2.data.formats.xml_files import number_of
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat

NAME = "csv"
LOOKS_FOR = "a table with columns for the image, the class and xmin, ymin, xmax, ymax"
HEAD = 4096
YES = frozenset(("1", "true", "yes"))


@dataclass(frozen=True)
class _Row:
    """The cells of a row by the meaning of their columns, and its place in the file."""

    cells: Mapping[str, str]
    path: Path
    line: int

    def __getitem__(self, what: str) -> str:
        return self.cells.get(what, "")

    @property
    def source(self) -> str:
        label = self["class"]
        return f"{self.path}: line {self.line}{f' ({label})' if label else ''}"


def mark(folder: Path) -> str | None:
    return next((relative(path, folder) for path in _tables(folder)), None)


def read(folder: Path, image_format: ImageFormat) -> Found:
    pictures, paths = Pictures(folder, image_format), [*_tables(folder)]
    rows: dict[Path, list[_Row]] = {}
    for path in paths:
        for row in _rows(path):
            rows.setdefault(_file(row, pictures), []).append(row)
    found = {file: _picture(file, of_file) for file, of_file in rows.items()}
    unsized = [file for file, picture in found.items() if picture.size is None]
    stated = sizes(unsized, image_format)
    found.update({file: replace(found[file], size=size) for file, size in stated.items()})
    notes = []
    if _are_fractions(found.values()):
        notes.append("corners are fractions of the image's size, as none is beyond 1")
        found = {file: _in_pixels(picture) for file, picture in found.items()}
    splits: dict[str, list[Picture]] = {}
    for file, picture in found.items():
        splits.setdefault(_split(file, rows[file], folder), []).append(picture)
    parts = parts_of(splits, labels_of(splits), folder)
    return Found(folder, NAME, relative(paths[0], folder), parts, notes)


def lacks(folder: Path) -> str | None:
    """A phrase about a csv without usable boxes; None if there is none."""
    faults = ((path, _fault(path)) for path in files_below(folder, ".csv"))
    return next((f"{relative(path, folder)} {fault}" for path, fault in faults if fault), None)


def _fault(path: Path) -> str | None:
    """Why it has no usable boxes; None if it has."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD).decode("utf-8-sig", errors="replace")
        columns_of(next(_parted(head), (1, []))[1])
    except UserError as error:
        return str(error)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None


def _tables(folder: Path) -> Iterator[Path]:
    return (path for path in files_below(folder, ".csv") if _fault(path) is None)


def _parted(text: str) -> Iterator[tuple[int, list[str]]]:
    """Non-empty rows with their line numbers; the delimiter is the most frequent candidate in the
    first row.
    """
    first = text.split("\n", 1)[0]
    rows = csv.reader(StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
    for row in rows:
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield rows.line_num, cells


def _rows(path: Path) -> Iterator[_Row]:
    columns: Mapping[str, int] = {}
    try:
        for line, cells in _parted(read_text(path)):
            if not columns:
                columns = columns_of(cells)
                if not is_box(cells):
                    continue  # column names
            if len(cells) <= max(columns.values()):
                raise UserError(f"{path}: line {line} has only {len(cells)} cells")
            yield _Row({what: cells[place] for what, place in columns.items()}, path, line)
    except csv.Error as error:
        raise UserError(f"{path} is not a table: {error}") from None


def _file(row: _Row, pictures: Pictures) -> Path:
    if not row["image"]:
        raise UserError(f"{row.source} names no image")
    near = row.path.parent
    file = pictures.find(row["image"], near=near) or near / row["image"]
    pictures.claim(file, str(row.path))
    return file


def _split(file: Path, rows: Sequence[_Row], folder: Path) -> str:
    """Given by a column, otherwise by the name of the table or its folder."""
    splits = {row["split"]: row for row in rows}
    if len(splits) > 1:
        raise UserError(f"{rows[0].path}: {file} is in several splits, {', '.join(splits)}")
    ((named, row),) = splits.items()
    if not named:
        return split_of_path(row.path, folder) or "train"
    if (split := split_of(named)) is None:
        raise UserError(f"{row.source}: the split {named!r} is none of train, val and test")
    return split


def _picture(file: Path, rows: Sequence[_Row]) -> Picture:
    """With the size stated in the first row, and boxes as they are."""
    sides = [
        int(number_of(rows[0][side] or "0", f"{rows[0].source}: {side}"))
        for side in ("width", "height")
    ]
    size = (sides[0], sides[1]) if min(sides) > 0 else None
    boxes = [row for row in rows if any(row[what] for what in ("class", *EDGES))]
    return Picture(file, size, [*map(_labelled, boxes)])


def _labelled(row: _Row) -> Labelled:
    if not row["class"]:
        raise UserError(f"{row.source} has a box without a class")
    x1, y1, x2, y2 = (number_of(row[edge], f"{row.source}: {edge}") for edge in EDGES)
    if row["confidence"] and number_of(row["confidence"], f"{row.source}: confidence") != 1:
        raise UserError(f"{row.source} has the confidence {row['confidence']}: it is a prediction")
    ignored = row["ignored"].lower() in YES
    return Labelled(row["class"], (x1, y1, x2, y2), ignored=ignored, source=row.source)


def _are_fractions(pictures: Iterable[Picture]) -> bool:
    """No box of any image exceeds 1, which would be a single pixel."""
    edges = [edge for picture in pictures for found in picture.objects for edge in found.box]
    return bool(edges) and max(edges) <= 1


def _in_pixels(picture: Picture) -> Picture:
    """Objects on an unreadable image of unknown size are dropped."""
    if picture.size is None:
        return replace(picture, objects=[])
    scale = (*picture.size, *picture.size)
    objects = []
    for found in picture.objects:
        x1, y1, x2, y2 = (edge * side for edge, side in zip(found.box, scale, strict=True))
        objects.append(replace(found, box=(x1, y1, x2, y2)))
    return replace(picture, objects=objects)
