"""Very many small images, generated quickly, in tar files and as files named in a list."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32  # pixels
SHARD = 10_000  # images per tar file
BROKEN = 1000  # one image in this many is truncated


def draw(folder: Path, images: int) -> list[str]:
    """Writes them: one in ten as a file, the others into tar files.

    Returns:
        The list and the tar files, in which the images are ordered by number.
    """
    listed = images // 10
    sources = [str(folder / "names.txt")]
    (folder / "files").mkdir()
    with (folder / "names.txt").open("w", encoding="utf-8") as names:
        for number in range(listed):
            path = folder / "files" / f"{number:07d}.jpg"
            path.write_bytes(jpeg(number))
            names.write(f"{path}\n")
    for first in range(listed, images, SHARD):
        sources.append(str(folder / f"{first:07d}.tar"))
        with tarfile.open(sources[-1], "w") as tar:
            for number in range(first, min(first + SHARD, images)):
                content = jpeg(number)
                member = tarfile.TarInfo(f"{number:07d}.jpg")
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    return sources


def jpeg(number: int) -> bytes:
    """A square on noise; the number determines its position and colour."""
    generator = np.random.default_rng(number)
    pixels = generator.integers(0, 64, (SIDE, SIDE, 3), np.uint8)
    left, top = generator.integers(0, SIDE // 2, 2)
    colour = generator.integers(64, 256, 3)
    pixels[top : top + SIDE // 2, left : left + SIDE // 2] = colour
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()[: 100 if is_broken(number) else None]


def is_broken(number: int) -> bool:
    return number % BROKEN == BROKEN - 1
