"""The image files of a folder, and their sizes."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from hdetr_d2.data.present_files import sizes_of
from hdetr_d2.errors import UserError
from hdetr_d2.utils.git_lfs import why_unreadable

_NAMES = "avif bmp dib gif jp2 jpe jpeg jpg pbm pgm png pnm ppm tif tiff webp"
ENDINGS = frozenset(f".{name}" for name in _NAMES.split(" "))


def is_picture(path: Path) -> bool:
    """By its ending; what begins with a dot is hidden."""
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def pictures_below(folder: Path) -> list[Path]:
    """In the folder and its subfolders, sorted."""
    return sorted(path for path in folder.rglob("*") if is_picture(path))


def sizes(files: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    """(width, height) of images, upright.

    Raises:
        UserError: one is missing or is no image, without which its labels say nothing.
    """
    found = dict(zip(files, sizes_of([*map(str, files)]), strict=True))
    return {file: size or _refuse(file) for file, size in found.items()}


def _refuse(file: Path) -> tuple[int, int]:
    if not file.exists():
        raise UserError(f"{file} does not exist, and its labels need its size")
    reason = why_unreadable(file, "its size cannot be read")
    raise UserError(f"{file} cannot be read as an image: {reason}")


def by_name(files: Iterable[Path]) -> dict[str, list[Path]]:
    """Files by their names without folders, as exporters write them."""
    found: dict[str, list[Path]] = {}
    for file in files:
        found.setdefault(file.name, []).append(file)
    return found
