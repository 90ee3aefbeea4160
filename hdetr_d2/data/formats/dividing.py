"""Names of splits, and creation of a validation split if there is none."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from hdetr_d2.data.formats.content import Part
from hdetr_d2.errors import UserError
from hdetr_d2.utils.git_lfs import is_pointer, why_unreadable

NAMES = {
    "train": ("train", "training", "trainval"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
# This much of a file identifies it: the ends of compressed images differ.
BYTES = 16384


def split_of(name: str) -> str | None:
    """The split indicated by the name of a file or folder: "instances_val2017" indicates "val"."""
    words = re.findall("[a-z]+", name.lower())
    found = [split for split, names in NAMES.items() if set(names) & set(words)]
    return found[0] if len(found) == 1 else None


def split_of_path(path: Path, folder: Path) -> str | None:
    """The split indicated by the nearest name: that of the file, then those of its folders below
    `folder`.
    """
    names = reversed(path.relative_to(folder).parts)
    return next((split for name in names if (split := split_of(name))), None)


def divide(part: Part, share: float, seed: int) -> tuple[Part, Part]:
    """Divides images into training and validation images.

    The same files are divided in the same way, whatever their order and names. Identical files stay
    together, and so do images with the same id, so that this error of the data is not hidden.

    Args:
        share: fraction of the images for validation; at least one image.
        seed: selects another division.

    Raises:
        UserError: fewer than two different images, or a share outside of (0, 1).
    """
    if not 0 < share < 1:
        raise UserError(f"data.val_share={share} must be between 0 and 1")
    draws = [_draw(file, seed) for file in part.files]
    wanted = max(1, round(share * len(draws)))
    limit = sorted(draws)[min(wanted, len(draws)) - 1] if draws else b""
    ids = [image.get("id") for image in part.content["images"]]
    val, train = part.parted({i for i, draw in zip(ids, draws, strict=True) if draw <= limit})
    if not train.content["images"] or not val.content["images"]:
        raise UserError(
            f"{part.root} has no validation images, and of {len(draws)} images none can be spared: "
            f"{_why_none_differ(part.files)}"
        )
    return train, val


def _why_none_differ(files: Sequence[Path]) -> str:
    if any(map(is_pointer, files[:1])):
        return f"{files[0]}: {why_unreadable(files[0], '')}"
    return "it takes two that differ"


def _draw(file: Path, seed: int) -> bytes:
    """A pseudo-random number from the seed and the bytes of the file or, if it is missing, its
    name.
    """
    try:
        with open(file, "rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, size - BYTES))
            content = b"%d " % size + opened.read()
    except OSError:
        content = file.name.encode()
    return hashlib.blake2b(content, digest_size=16, salt=b"%d" % seed).digest()
