"""Annotation files that are empty or end in the middle, as after an interrupted copy. Formats are
recognised by what such a file lacks: the images of one would be left out without a word.
"""

import os
from pathlib import Path

from hdetr_d2.data.formats.looking import files_below
from hdetr_d2.errors import UserError
from hdetr_d2.utils.git_lfs import is_pointer, why_unreadable

# What a file begins and ends with, by its ending.
BRACKETS = {".json": {b"{": b"}", b"[": b"]"}, ".xml": {b"<": b">"}}
_EDGE = 4096  # bytes; white space may be longer than the text beside it
_SPACE = b" \t\r\n"
_MARK = b"\xef\xbb\xbf"  # of the byte order


def refuse_incomplete(folder: Path, ending: str) -> None:
    """
    Raises:
        UserError: an annotation file with this ending is incomplete; it is named.
    """
    if (fault := incomplete(folder, ending)) is not None:
        raise UserError(fault)


def incomplete(folder: Path, ending: str) -> str | None:
    """A phrase about the first incomplete file with this ending; None if there is none."""
    faults = ((path, _fault(path, ending)) for path in files_below(folder, ending))
    return next((f"{path} {fault}" for path, fault in faults if fault is not None), None)


def _fault(path: Path, ending: str) -> str | None:
    if is_pointer(path):
        return f"cannot be read: {why_unreadable(path, '')}"
    try:
        with open(path, "rb") as file:
            first = file.read(_EDGE).removeprefix(_MARK).strip(_SPACE)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _EDGE))
            last = file.read().strip(_SPACE)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not last:
        return "is empty"
    # Text in UTF-16 and the like is left to the readers.
    expected = BRACKETS[ending].get(first[:1])
    return None if expected is None or last.endswith(expected) else "ends in the middle"
