"""The image files of a folder, and their sizes; the pixel format determines what counts as an
image.
"""

from collections import Counter
from collections.abc import Sequence
from filecmp import cmp
from itertools import takewhile
from pathlib import Path, PurePosixPath

from hdetr_d2.data.present_files import sizes_of
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import EIGHT_BITS, ImageFormat, MultiChannel

_NAMES = "avif bmp dib gif jp2 jpe jpeg jpg pbm pgm png pnm ppm tif tiff webp"
ENDINGS = frozenset(f".{name}" for name in _NAMES.split(" "))


def is_picture(path: Path, image_format: ImageFormat = EIGHT_BITS) -> bool:
    """Decided by its ending; names that begin with a dot are hidden."""
    known = path.suffix.lower() in ENDINGS | image_format.endings
    return known and not path.name.startswith(".")


def pictures_below(folder: Path, image_format: ImageFormat = EIGHT_BITS) -> list[Path]:
    """In the folder and its subfolders, sorted."""
    return sorted(path for path in folder.rglob("*") if is_picture(path, image_format))


def sizes(
    files: Sequence[Path], image_format: ImageFormat = EIGHT_BITS
) -> dict[Path, tuple[int, int] | None]:
    """(width, height) of images, upright; None for missing and unreadable ones."""
    return dict(zip(files, sizes_of([*map(str, files)], image_format), strict=True))


def lacks_annotations(folder: Path) -> str | None:
    """A phrase for a folder that contains only images; None for any other."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    if not files or not all(map(is_picture, files)):
        return None
    return f"it has images ({len(files)}) and no annotations, which training learns from"


def refuse_arrays_alone(folder: Path, image_format: ImageFormat) -> None:
    """
    Raises:
        UserError: there are images of another format, and none of this one.
    """
    others = MultiChannel.endings - image_format.endings
    if others and not any(is_picture(path, image_format) for path in folder.rglob("*")):
        arrays = [path for path in folder.rglob("*") if path.suffix.lower() in others]
        if arrays:
            endings = " and ".join(sorted(others))
            raise UserError(
                f"{folder} has no images but {len(arrays)} {endings} files ({arrays[0]}, ...): "
                "data.channels says how many channels they have"
            )


class Pictures:
    """The images of a folder, found by the names that annotations give them."""

    def __init__(self, folder: Path, image_format: ImageFormat = EIGHT_BITS) -> None:
        self.folder = folder
        self.image_format = image_format
        self.files: dict[str, list[Path]] = {}
        self.owners: dict[Path, str] = {}
        for file in pictures_below(folder, image_format):
            for name in {file.name, file.stem}:
                self.files.setdefault(name, []).append(file)

    def find(self, name: str, *, near: Path, called: str = "") -> Path | None:
        """The image that annotations call `name`, with or without its ending; None if no file
        matches.

        Of several, an exact match comes first; then the one that shares the most folders (below the
        data folder) with `name` and `near`; then the one whose path ends most like `name`, or that
        is in `near`.

        Args:
            near: the folder where the format keeps its images.
            called: the exact file name, if `name` has no ending.

        Raises:
            UserError: two match equally well, and differ.
        """
        *folders, wanted = PurePosixPath(name.replace("\\", "/")).parts or ("",)
        exact = {wanted, PurePosixPath(called.replace("\\", "/")).name}
        usual = near.relative_to(self.folder).parts
        given = Counter(folders) | Counter(usual)

        def likeness(file: Path) -> tuple[bool, int, int, bool]:
            own = file.relative_to(self.folder).parts[:-1]
            common = (Counter(own) & given).total()
            return file.name in exact, common, _common_end(own, folders), own == usual

        candidates = sorted(self.files.get(wanted, []), key=likeness, reverse=True)
        for other in candidates[1:]:
            best = candidates[0]
            if likeness(other) == likeness(best) and not cmp(best, other, shallow=False):
                raise UserError(f"{best} and {other} could both be the image {name}; leave one")
        return candidates[0] if candidates else None

    def claim(self, file: Path, source: str) -> None:
        """Records which source labels an image.

        Raises:
            UserError: another source labels it already, so that one of the two lacks its own image.
        """
        if (other := self.owners.setdefault(file, source)) != source:
            raise UserError(f"{other} and {source} both label {file}; leave one of them")


def _common_end(first: Sequence[str], second: Sequence[str]) -> int:
    """The number of equal items at the end."""
    pairs = zip(reversed(first), reversed(second), strict=False)
    return len([*takewhile(lambda pair: pair[0] == pair[1], pairs)])
