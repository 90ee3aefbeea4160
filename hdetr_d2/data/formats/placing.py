"""Where the images of a data set go when it is written anew, and what is on each."""

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hdetr_d2.data.formats.content import Part
from hdetr_d2.errors import UserError


@dataclass(frozen=True)
class Placed:
    """An image of a split: its entry and file, its new name and what is on it."""

    image: dict[str, Any]
    file: Path
    name: PurePosixPath
    annotations: list[dict]

    @property
    def where(self) -> str:
        """For a comparison: names that differ in their endings only are one."""
        return str(self.name.with_suffix(""))


def placed(part: Part) -> list[Placed]:
    """The images of a split with their names from the folder on that all of them share.

    Raises:
        UserError: two that differ in their endings only: annotations go by the names without.
    """
    on_image = defaultdict(list)
    for annotation in part.content["annotations"]:
        on_image[annotation["image_id"]].append(annotation)
    result: dict[str, Placed] = {}
    files = part.files
    root = os.path.commonpath([file.parent for file in files]) if files else ""
    for image, file in zip(part.content["images"], files, strict=True):
        name = PurePosixPath(file.relative_to(root).as_posix())
        new = Placed(image, file, name, on_image[image["id"]])
        if (other := result.setdefault(new.where, new)) is not new:
            raise UserError(f"{other.file} and {file} would have annotations of one name")
    return [*result.values()]


def copy_images(images: list[Placed], folder: Path) -> None:
    """Copy the files below a folder.

    Raises:
        UserError: one is missing.
    """
    for each in images:
        target = folder / each.name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copyfile(each.file, target)
        except FileNotFoundError:
            raise UserError(f"the image {each.file} does not exist") from None


def names_by_id(parts: Mapping[str, Part]) -> dict[Any, str]:
    """Classes in the order of their ids, which is that of the labels; all splits have the same."""
    categories = next(iter(parts.values())).content["categories"]
    return dict(sorted((category["id"], category["name"]) for category in categories))


def corners_in(
    annotation: Mapping[str, Any], image: Mapping[str, Any]
) -> tuple[float, float, float, float] | None:
    """x1, y1, x2, y2 of a box clipped to its image; None if nothing of it is there."""
    x, y, width, height = annotation["bbox"]
    x1, x2 = (min(max(edge, 0), image["width"]) for edge in (x, x + width))
    y1, y2 = (min(max(edge, 0), image["height"]) for edge in (y, y + height))
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def boxes_of(
    each: Placed, lost: dict[str, int], *, crowds: bool = False
) -> Iterator[tuple[dict, tuple[float, float, float, float]]]:
    """The annotations of an image with their corners.

    Args:
        lost: what is left out is counted here, and masks.
        crowds: the format has something like them.
    """
    for annotation in each.annotations:
        corners = corners_in(annotation, each.image)
        if annotation.get("iscrowd") and not crowds:
            lost["crowds"] += 1
        elif corners is None:
            lost["boxes outside of their images"] += 1
        else:
            lost["masks, of which the boxes are kept"] += bool(annotation.get("segmentation"))
            yield annotation, corners
