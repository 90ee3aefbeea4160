"""Iterates over very many images; names are read as needed."""

import logging
import os
import tarfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

from hdetr_d2.errors import UserError
from hdetr_d2.inference.files import endings
from hdetr_d2.pixels import EIGHT_BITS, ImageFormat
from hdetr_d2.runtime.pictures import Picture

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Named:
    """An image and its name: a path, or `shard.tar/member.jpg` for a member of a tar file.

    content: the bytes of a tar member; None for a file.
    """

    name: str
    content: bytes | None = None

    @property
    def picture(self) -> Picture:
        """The input for `Predictor`."""
        return self.name if self.content is None else self.content


def as_text(name: str) -> str:
    """A file name as valid text: names are bytes on disk, and bytes that are not UTF-8 become
    `\\xe9` and the like.
    """
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def named_images(
    sources: Sequence[str | Path],
    *,
    first: int = 0,
    every: int = 1,
    image_format: ImageFormat = EIGHT_BITS,
) -> Iterator[tuple[int, Named]]:
    """Yields the images with numbers `first`, `first + every`, ... among all sources, with their
    numbers. The order is always the same: folders and everything below them sorted by name, tar
    files and lists in their own order.

    Args:
        sources: image files, folders, tar files (.tar), and lists of file names (.txt), one per
            line.
        image_format: may add endings.

    Raises:
        UserError: a source that does not exist or cannot be read.
    """
    known = endings() | image_format.endings
    named = chain.from_iterable(_images_in(Path(source), known) for source in sources)
    for number, (name, load) in islice(enumerate(named), first, None, every):
        yield number, Named(name, load())


Found = tuple[str, Callable[[], bytes | None]]
"""The name of an image, and a function that reads its bytes if it is a tar member."""


def _images_in(source: Path, known: Collection[str]) -> Iterator[Found]:
    if source.is_dir():
        yield from _below(source, known)
    elif not source.is_file():
        raise UserError(f"{source} does not exist")
    elif source.suffix == ".tar":
        yield from _members(source, known)
    elif source.suffix == ".txt":
        yield from _listed(source)
    else:
        yield str(source), _no_bytes


def _no_bytes() -> None:
    return None


def _below(folder: Path, known: Collection[str]) -> Iterator[Found]:
    """Yields the images in and below a folder; only one level of entries per folder is held in
    memory.
    """
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir():
            yield from _below(Path(entry.path), known)
        elif _is_image(entry.name, known):
            yield entry.path, _no_bytes


def _listed(path: Path) -> Iterator[Found]:
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            if name := line.rstrip("\n"):
                yield name, _no_bytes


def _members(path: Path, known: Collection[str]) -> Iterator[Found]:
    with _readable(path), tarfile.open(path, "r:") as tar:
        while member := tar.next():
            tar.members.clear()  # type: ignore[attr-defined]  # they would all stay in memory
            if member.isfile() and _is_image(member.name, known):
                yield f"{path}/{member.name}", partial(_content, path, tar, member)
        _check_end(tar)


def _content(path: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    with _readable(path):
        file = tar.extractfile(member)
        return file.read() if file else b""


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Context manager that raises UserError if the file is not a tar file, or is incomplete."""
    try:
        yield
    except (tarfile.TarError, OSError) as error:
        raise UserError(f"{path} cannot be read as a tar file: {error}") from error


def _check_end(tar: tarfile.TarFile) -> None:
    """Checks the end of a tar file after reading: tarfile mistakes a truncation between two
    members, or in a header, for the regular end. Raises ReadError if the file is truncated.
    """
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    mark = tar.fileobj.read(tarfile.BLOCKSIZE)
    if not mark:
        logger.warning("%s has no mark at its end: images may be missing", tar.name)
    elif len(mark) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("it is cut off")


def _is_image(name: str, known: Collection[str]) -> bool:
    return os.path.splitext(name)[1].lower() in known
