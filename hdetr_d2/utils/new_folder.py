"""Folders that are either whole or not there."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hdetr_d2.errors import UserError


def require_new(folder: str | Path, option: str) -> Path:
    """`folder`, before there is work to lose.

    Args:
        option: what it is the value of, for the sentence.

    Raises:
        UserError: something is in it, or it is a file.
    """
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{option} {folder} is there already: give a folder that is new or empty")
    return path


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, beside `folder`, which takes that name when nothing was raised.

    Raises:
        UserError: it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
            draft = Path(beside) / "draft"  # with the rights that the user's folders have
            draft.mkdir()
            yield draft
            draft.replace(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
