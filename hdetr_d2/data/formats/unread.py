"""Annotations that many folders have and nothing here reads: who brings them is told so."""

from pathlib import Path

from hdetr_d2.data.formats.looking import files_below, relative


def named(folder: Path) -> str | None:
    """What a sentence says of them; None where there are none."""
    for path in files_below(folder, ".csv")[:1]:
        what = "is a table, and csv is not read: convert it to one of these"
        return f"{relative(path, folder)} {what}"
    return None
