"""Decodes every image file of a data set, to check it and to find equal pixels."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from hdetr_d2.data.coco_json import CocoJson, Problem
from hdetr_d2.pixels import EIGHT_BITS, ImageFormat
from hdetr_d2.pixels.images import BadImageError, check_size
from hdetr_d2.utils.git_lfs import is_pointer


@dataclass(frozen=True)
class ImageFile:
    """An image of a json according to its file: what is wrong with it, or a digest of its
    pixels.
    """

    image: dict
    path: str
    fault: str | None = None
    digest: bytes | None = None


def look_at_images(
    coco: CocoJson, folder: str, num_threads: int, image_format: ImageFormat = EIGHT_BITS
) -> list[ImageFile]:
    """Decodes every image that has a name."""

    def look(image: dict) -> ImageFile:
        path = os.path.join(folder, image["file_name"])
        try:
            pixels = image_format.read(path)
            check_size(path, pixels, image.get("width", 0), image.get("height", 0))
        except BadImageError as error:
            return ImageFile(image, path, fault=str(error))
        # Of pixels, not of bytes: a copy may have other metadata, or be compressed again.
        digest = hashlib.blake2b(pixels.tobytes(), digest_size=16, salt=b"%dx%d" % pixels.shape[:2])
        return ImageFile(image, path, digest=digest.digest())

    named = [image for image in coco.images if isinstance(image.get("file_name"), str)]
    with ThreadPoolExecutor(num_threads) as pool:
        return list(pool.map(look, named))


def file_problems(coco: CocoJson, files: Sequence[ImageFile]) -> Iterator[Problem]:
    """Missing or invalid images, one by one, except for Git LFS pointers, which are reported
    together.
    """
    faulty = [file for file in files if file.fault]
    pointers = [file for file in faulty if is_pointer(file.path)]
    if pointers:
        text = f"{len(pointers)} of {len(files)} images are pointers of Git LFS ({pointers[0].path}"
        text += ", ...)" if pointers[1:] else ")"
        text = f"{coco.name}: {text}: `git lfs pull` fetches the files themselves"
        yield Problem("pointers of Git LFS", text)
    for file in faulty:
        if file not in pointers:
            text = f"{coco.name}: image {file.image.get('id')}: {file.fault}"
            yield Problem("image files that are missing or wrong", text)


def repeated_pixels(coco: CocoJson, files: Sequence[ImageFile]) -> Iterator[Problem]:
    """Images with different names but the same pixels."""
    first: dict[bytes, str] = {}
    for file in files:
        name = file.image["file_name"]
        if file.digest is not None and first.setdefault(file.digest, name) != name:
            text = f"{coco.name}: {name} has the pixels of {first[file.digest]}"
            yield Problem("several images with the same pixels", text, is_error=False)
