"""A first look at a folder: which files exist, and what its text files contain."""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

from hdetr_d2.errors import UserError

# Maximum depth of annotation files; images may be deeper.
DEPTH = 3


def files_below(folder: Path, ending: str) -> list[Path]:
    """Files with this ending in the folder and a few levels below, sorted, without hidden ones."""
    return sorted(_walk(folder, ending, DEPTH))


def _walk(folder: Path, ending: str, depth: int) -> Iterator[Path]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.name.lower().endswith(ending):
            yield Path(entry.path)
        elif depth > 0 and entry.is_dir():
            yield from _walk(Path(entry.path), ending, depth - 1)


def holds(path: Path, first: bytes, *words: bytes) -> bool:
    """Whether a file begins with `first`, after white space, and contains all the words; large
    files are not read completely.
    """
    try:
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
            begins = view[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(first)
            return begins and all(view.find(word) >= 0 for word in words)
    except (OSError, ValueError):  # an empty file cannot be mapped
        return False


def read_text(path: Path) -> str:
    """Reads text in UTF-8, with or without a byte order mark.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text in UTF-8") from None


def relative(path: Path, folder: Path) -> str:
    """How messages name a file of the folder."""
    return path.relative_to(folder).as_posix()
