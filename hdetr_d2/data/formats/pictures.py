"""The image files of a folder, and their sizes."""

from collections.abc import Sequence
from itertools import takewhile
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


class Pictures:
    """The images of a folder by the names that annotations have for them."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, list[Path]] = {}
        for file in pictures_below(folder):
            for name in {file.name, file.stem}:
                self.files.setdefault(name, []).append(file)

    def find(self, name: str) -> Path | None:
        """The image whose path ends most like `name`, with or without its ending; None if no file
        is called so. Of several that are equally like it, the first.
        """
        wanted = [part for part in name.replace("\\", "/").split("/") if part]
        candidates = self.files.get(wanted[-1], []) if wanted else []
        return max(candidates, key=lambda file: _common(file, wanted), default=None)


def _common(file: Path, wanted: Sequence[str]) -> int:
    """How many of the last folders are the same."""
    pairs = zip(reversed(file.parts[:-1]), reversed(wanted[:-1]), strict=False)
    return len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])
