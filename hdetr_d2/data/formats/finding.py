"""Detects the format of a folder and reads the data set in it."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Protocol

from hdetr_d2.data.formats import by_datumaro, coco, cvat, label_studio, labelme, table, voc, yolo
from hdetr_d2.data.formats.content import Found
from hdetr_d2.data.formats.dividing import divide
from hdetr_d2.data.formats.incomplete import BRACKETS, incomplete, refuse_incomplete
from hdetr_d2.data.formats.pictures import lacks_annotations, refuse_arrays_alone
from hdetr_d2.data.formats.unnamed import unnamed_images
from hdetr_d2.data.temporary_json import temporary_json
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import EIGHT_BITS, ImageFormat
from hdetr_d2.pixels.image_format import image_format_of

logger = logging.getLogger(__name__)


class Reader(Protocol):
    """A module of this folder, for one format.

    NAME: used in messages. LOOKS_FOR: describes the files that identify it, for messages.
    """

    NAME: str
    LOOKS_FOR: str

    def mark(self, folder: Path) -> str | None:
        """The file that identifies the format, relative to the folder, or None."""

    def read(self, folder: Path, image_format: ImageFormat) -> Found:
        """Reads the data set, whose images have this format.

        Raises:
            UserError: it cannot be read; the message names the file and the entry.
        """


# How messages refer to the splits used in training.
CALLED = {"train": "training", "val": "validation"}
READERS: tuple[Reader, ...] = (coco, yolo, voc, cvat, label_studio, labelme)
# Of annotation files that can be seen to be incomplete.
ENDINGS = {each.NAME: ".json" for each in (coco, label_studio, labelme)}
ENDINGS |= {each.NAME: ".xml" for each in (voc, cvat)}
# Tables are often found beside another format, with other information about the images.
WHERE_NONE: tuple[Reader, ...] = (table,)


@dataclass(frozen=True)
class Ways:
    """Options of a config's `data` section about a folder.

    Attributes:
        val_share: fraction of the images for a validation split, if there is none.
        split_seed: determines which images these are.
        image_format: of the image files.
    """

    val_share: float = 0.2
    split_seed: int = 0
    image_format: ImageFormat = field(default=EIGHT_BITS, compare=False)

    @staticmethod
    def of(data: Mapping) -> "Ways":
        """Reads them from a `data` section, which may lack some."""
        given = {each.name: data.get(each.name) for each in fields(Ways)}
        given["image_format"] = image_format_of(data)
        return Ways(**{name: value for name, value in given.items() if value is not None})


def read_folder(folder: str | os.PathLike, image_format: ImageFormat = EIGHT_BITS) -> Found:
    """Detects the format of the data set in a folder, and reads it.

    Args:
        image_format: of the image files.

    Raises:
        UserError: the folder does not exist, has none or several of the formats, or the data set
            has an error.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        what = "is a file, and a folder is wanted" if path.exists() else "does not exist"
        raise UserError(f"the data folder {path} {what}")
    reader = _reader(path, READERS) or _reader(path, WHERE_NONE)
    refuse_arrays_alone(path, image_format)
    if reader is not None:
        if reader.NAME in ENDINGS:
            refuse_incomplete(path, ENDINGS[reader.NAME])
        found = reader.read(path, image_format)
    else:
        found = by_datumaro.read(path, _format_of_datumaro(path))
    if not any(part.content["images"] for part in found.parts.values()):
        raise UserError(f"{path} is in the format {found.format} ({found.mark}), without images")
    notes = [*found.notes, *unnamed_images(found, image_format)]
    return replace(found, notes=notes, channels=image_format.channels)


def _reader(path: Path, readers: Sequence[Reader]) -> Reader | None:
    """The reader whose format is found.

    Raises:
        UserError: several are.
    """
    marks = {reader.NAME: mark for reader in readers if (mark := reader.mark(path)) is not None}
    if len(marks) > 1:
        several = " and ".join(f"{name} ({mark})" for name, mark in marks.items())
        raise UserError(f"{path} has data in several formats, {several}: leave only one of them")
    return next((reader for reader in readers if reader.NAME in marks), None)


def _format_of_datumaro(path: Path) -> str:
    """The format as which datumaro recognises a folder that no reader here knows.

    Raises:
        UserError: it recognises none, or several, or it is not installed.
    """
    names = by_datumaro.formats_of(path) if by_datumaro.is_installed() else []
    if len(names) > 1:
        raise UserError(f"datumaro takes {path} for several formats: {', '.join(names)}")
    if not names:
        wanted = "; ".join(
            f"{reader.NAME}: {reader.LOOKS_FOR}" for reader in (*READERS, *WHERE_NONE)
        )
        more = "" if by_datumaro.is_installed() else f"; {by_datumaro.INSTALL} reads more"
        broken = next(filter(None, (incomplete(path, ending) for ending in BRACKETS)), None)
        text = broken or yolo.lacks(path) or table.lacks(path) or lacks_annotations(path)
        lack = "" if text is None else f": {text}"
        raise UserError(f"{path} has no data in a format that is known here{lack} ({wanted}{more})")
    return names[0]


def with_validation(found: Found, ways: Ways) -> Found:
    """Adds a validation split made from training images, if there is none.

    Raises:
        UserError: there are not enough images.
    """
    if "val" in found.parts or "train" not in found.parts:
        return found
    train, val = divide(found.parts["train"], ways.val_share, ways.split_seed)
    count = len(val.content["images"])
    note = (
        f"it has no validation images: {count} of its {count + len(train.content['images'])} "
        f"training images are taken for that, by data.val_share={ways.val_share} and "
        f"data.split_seed={ways.split_seed}"
    )
    rest = {name: part for name, part in found.parts.items() if name != "train"}
    parts = {"train": train, "val": val, **rest}
    return replace(found, parts=parts, notes=[*found.notes, note])


def tell(found: Found) -> None:
    """Logs what was found, the decisions made, and what was lost."""
    logger.info(found.sentence())
    for note in found.notes:
        logger.info(f"{found.folder}: {note}")
    for loss in found.losses:
        logger.warning(f"{found.folder}: {loss}")


def folder_files(
    folder: str | os.PathLike, ways: Ways, *, needed: Sequence[str] = ("train", "val")
) -> dict[str, str]:
    """The `data` options for a folder: `train_json`, `train_images`, and those of `val`, as far as
    these splits exist. The findings are logged.

    Args:
        needed: splits that must exist.

    Raises:
        UserError: see `read_folder`; or one of these does not exist.
    """
    found = with_validation(read_folder(folder, ways.image_format), ways)
    tell(found)
    for split in needed:
        if split not in found.parts:
            raise UserError(f"{folder} has no {CALLED[split]} images")
    files = {}
    for split in CALLED:
        if split in found.parts:
            files[f"{split}_json"] = _json_of(found, split)
            files[f"{split}_images"] = str(found.parts[split].root)
    return files


def _json_of(found: Found, split: str) -> str:
    """The path of a COCO json for a split; a temporary one if no file has exactly this content."""
    part = found.parts[split]
    if part.json_file is not None:
        return str(part.json_file)
    name, called = f"{found.folder.name}-{split}", found.called(split)
    return temporary_json(part.content, name=name, source=found.folder, called=called)
