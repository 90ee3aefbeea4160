"""Folders that are written completely or not at all."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hdetr_d2.errors import UserError


def require_new(folder: str | Path, option: str) -> Path:
    """Checks `folder` before any work is done.

    Args:
        option: whose value it is, for messages.

    Raises:
        UserError: it is not empty, or is a file.
    """
    path = Path(folder)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{option} {folder} is there already: give a folder that is new or empty")
    return path


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Context with a temporary folder beside `folder`, to which it is renamed if nothing is raised.

    Raises:
        UserError: it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as beside:
            draft = Path(beside) / "draft"  # with the permissions of the user's folders
            draft.mkdir()
            yield draft
            draft.replace(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}") from error
