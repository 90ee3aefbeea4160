"""The images of the splits in YOLO's yaml file: folders, or text files with one path per line,
relative to a `path` that is often one of another machine.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hdetr_d2.data.formats.looking import read_text
from hdetr_d2.data.formats.pictures import is_picture, pictures_below
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat

KEYS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}
NOTHING = ("", "null", "~", "None")


def split_files(
    spec: Mapping[str, Any], yaml_file: Path, notes: list[str], image_format: ImageFormat
) -> dict[str, list[Path]]:
    """The images of each split.

    Args:
        spec: the content of the yaml file.
        notes: receives a sentence about a split that is named, but missing or empty.
        image_format: of the image files.

    Raises:
        UserError: the training images are missing.
    """
    splits = {}
    for split, keys in KEYS.items():
        entries = next((found for key in keys if (found := _entries(spec.get(key)))), [])
        images: list[Path] = []
        for entry in entries:
            place = _place(entry, spec, yaml_file)
            if place is None and split == "train":
                raise UserError(f"{yaml_file}: {split}: {entry} does not exist")
            if place is None:
                notes.append(f"{split}: {entry} of {yaml_file.name} does not exist")
            else:
                inside = _images(place, image_format)
                images += inside
                if not inside:
                    notes.append(f"{split}: {entry} of {yaml_file.name} has no images")
        if images:
            splits[split] = list(dict.fromkeys(images))
    if not splits:
        raise UserError(f"{yaml_file} names no images to train on")
    return splits


def _entries(value: Any) -> list[str]:
    given = value if isinstance(value, list) else [value or ""]
    return [str(each) for each in given if str(each) not in NOTHING]


def _place(entry: str, spec: Mapping[str, Any], yaml_file: Path) -> Path | None:
    """Resolves an entry. `path` is relative to the yaml file or the working directory, and ignored
    if nothing is there; a superfluous `../`, as Roboflow writes, is dropped.
    """
    entry = entry.replace("\\", "/")
    for base in _bases(str(spec.get("path") or ""), yaml_file.parent):
        for place in (base / entry, base / entry.removeprefix("../")):
            if place.exists():
                return Path(*place.parts) if ".." not in place.parts else place.resolve()
    return None


def _bases(path: str, folder: Path) -> Iterator[Path]:
    if path not in NOTHING:
        yield folder / path
        yield Path(path)
    yield folder


def _images(place: Path, image_format: ImageFormat) -> list[Path]:
    if place.is_dir():
        return pictures_below(place, image_format)
    if place.suffix.lower() != ".txt":
        return [place] if is_picture(place, image_format) else []
    images = []
    for line in filter(None, map(str.strip, read_text(place).splitlines())):
        near = place.parent / line
        images.append(near if near.exists() or not Path(line).exists() else Path(line))
    return images
