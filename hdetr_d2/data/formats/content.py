"""The result of a reader: images with their objects, and their conversion to COCO's lists."""

import os
from collections.abc import Hashable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hdetr_d2.data.coco_json import evaluated_area

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Labelled:
    """An object, in a form common to all formats.

    Attributes:
        label: its class name.
        box: x1, y1, x2, y2 in pixels, from 0 at the outer edge of the first pixel.
        segmentation: in COCO's form, or None: polygons in pixels, or a dict of run lengths.
        ignored: neither learned nor counted, like COCO's crowds.
        source: the file and entry it comes from.
    """

    label: str
    box: tuple[float, float, float, float]
    segmentation: Any = None
    ignored: bool = False
    source: str = ""


@dataclass(frozen=True)
class Picture:
    """An image: its file, (width, height) and objects.

    The size is None if it is not stated and the file cannot be read, which is reported when files
    are checked. Only objects that need no size are then included.
    """

    file: Path
    size: tuple[int, int] | None
    objects: Sequence[Labelled] = ()


@dataclass(frozen=True)
class Part:
    """The images of one split.

    Attributes:
        content: the three lists of a COCO json; `file_name`s are relative to `root`, or absolute.
        root: the folder of its images.
        json_file: a file with exactly this content, or None.
    """

    content: Mapping[str, list[dict]]
    root: Path
    json_file: Path | None = None

    @property
    def files(self) -> list[Path]:
        return [self.root / str(image.get("file_name")) for image in self.content["images"]]

    @property
    def class_names(self) -> list[str]:
        categories = sorted(self.content["categories"], key=lambda each: each["id"])
        return [category["name"] for category in categories]

    def parted(self, ids: Set[Hashable]) -> tuple["Part", "Part"]:
        """Splits off the images with these ids and their annotations. Annotations without an image
        go to the rest, where they will be reported.
        """
        chosen: dict[str, list[dict]] = {}
        rest: dict[str, list[dict]] = {}
        for section, key in (("images", "id"), ("annotations", "image_id")):
            entries = self.content[section]
            chosen[section] = [entry for entry in entries if entry.get(key) in ids]
            rest[section] = [entry for entry in entries if entry.get(key) not in ids]
        chosen_part = Part({**self.content, **chosen}, self.root)
        return chosen_part, Part({**self.content, **rest}, self.root)


@dataclass(frozen=True)
class Found:
    """A data set in a folder.

    Attributes:
        format: its name. mark: the file that identifies it.
        parts: by "train", "val" and "test", as far as they exist.
        notes: decisions made by the reader, one sentence each.
    losses: what the reader could not use although it belongs to the data, one sentence each.
        channels: of every image.
    """

    folder: Path
    format: str
    mark: str
    parts: Mapping[str, Part]
    notes: list[str] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    channels: int = 3

    def called(self, split: str) -> str:
        """How messages refer to one of its splits."""
        return str(self.parts[split].json_file or f"{self.folder} ({split})")

    def sentence(self) -> str:
        """Format, images, objects, classes and splits."""
        counts = [
            f"{split} has {_count(part.content['images'], 'image')} with "
            f"{_count(part.content['annotations'], 'object')}"
            for split, part in self.parts.items()
        ]
        names = next(iter(self.parts.values())).class_names
        few = ", ".join(names[:10]) + (", ..." if names[10:] else "")
        return (
            f"{self.folder} is in the format {self.format} ({self.mark}): {'; '.join(counts)}; "
            f"{_count(names, 'class', 'es')}: {few}"
        )


def _count(things: Sequence, word: str, plural: str = "s") -> str:
    return f"{len(things)} {word}{'' if len(things) == 1 else plural}"


def labels_of(splits: Mapping[str, Sequence[Picture]]) -> list[str]:
    """The names of all classes with objects, sorted."""
    pictures = (picture for split in splits.values() for picture in split)
    return sorted({found.label for picture in pictures for found in picture.objects})


def parts_of(
    splits: Mapping[str, Sequence[Picture]], class_names: Sequence[str], root: Path
) -> dict[str, Part]:
    """Converts splits to COCO's lists, with ids of images, objects and classes counted from 1.

    Args:
        splits: the images of each split, in order.
        class_names: all of them, in label order.
        root: the folder of the data set.
    """
    ids = {name: number for number, name in enumerate(class_names, start=1)}
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return {
        split: Part(_content(splits[split], ids, categories, root), root)
        for split in SPLITS
        if split in splits
    }


def _content(
    pictures: Sequence[Picture], ids: Mapping[str, int], categories: list[dict], root: Path
) -> dict[str, list[dict]]:
    images: list[dict] = []
    annotations: list[dict] = []
    for image_id, picture in enumerate(pictures, start=1):
        sides = dict(zip(("width", "height"), picture.size or (), strict=False))
        images.append({"id": image_id, "file_name": _relative(picture.file, root), **sides})
        for found in picture.objects:
            numbers = {"id": len(annotations) + 1, "image_id": image_id}
            annotations.append({**numbers, "category_id": ids[found.label], **_shape(found)})
    return {"images": images, "annotations": annotations, "categories": categories}


def _shape(found: Labelled) -> dict[str, Any]:
    x1, y1, x2, y2 = found.box
    shape: dict[str, Any] = {"bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": int(found.ignored)}
    if found.segmentation is not None:
        shape["segmentation"] = found.segmentation
    shape["area"] = evaluated_area(shape)
    return {**shape, "source": found.source} if found.source else shape


def _relative(file: Path, root: Path) -> str:
    """As in COCO: relative to the folder if it is below that."""
    try:
        return file.relative_to(root).as_posix()
    except ValueError:
        return os.path.abspath(file)
