"""Files that Git LFS has not fetched yet, replaced by a few lines of text."""

import os

FIRST_WORDS = b"version https://git-lfs.github.com/spec/"


def is_pointer(path: str | os.PathLike) -> bool:
    """Whether the file is a Git LFS pointer; False if it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(len(FIRST_WORDS)) == FIRST_WORDS
    except OSError:
        return False


def why_unreadable(path: str | os.PathLike, reason: object) -> str:
    """Why a file cannot be read; if it is a pointer, that and how to fetch it."""
    if is_pointer(path):
        return "it is a pointer of Git LFS, and `git lfs pull` fetches the file itself"
    return str(reason)
