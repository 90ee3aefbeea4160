"""Where images go when a data set is converted, and what is on each."""

import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hdetr_d2.data.formats.content import Part
from hdetr_d2.errors import UserError

# Pixels by which a box may exceed its image because of another format's rounding.
ROUNDING = 0.01


@dataclass(frozen=True)
class Placed:
    """An image of a split: its entry and file, its new name and its annotations."""

    image: dict[str, Any]
    file: Path
    name: PurePosixPath
    annotations: list[dict]

    @property
    def stem(self) -> str:
        """Its name without the ending."""
        return self.name.with_suffix("").as_posix()


def placed(part: Part) -> list[Placed]:
    """The images of a split, with names relative to their common folder."""
    on_image = defaultdict(list)
    for annotation in part.content["annotations"]:
        on_image[annotation["image_id"]].append(annotation)
    files = [Path(os.path.abspath(file)) for file in part.files]  # without ".."
    root = os.path.commonpath([file.parent for file in files]) if files else ""
    return [
        Placed(image, file, PurePosixPath(file.relative_to(root).as_posix()), on_image[image["id"]])
        for image, file in zip(part.content["images"], files, strict=True)
    ]


def placed_apart(part: Part, called: Callable[[Placed], object]) -> list[Placed]:
    """Like `placed`, for formats that find the annotations of an image by a name.

    Args:
        called: returns the name of an image there.

    Raises:
        UserError: two images would share annotations.
    """
    found: dict[object, Placed] = {}
    for each in placed(part):
        if (other := found.setdefault(called(each), each)) is not each:
            if other.file == each.file:
                raise UserError(f"{each.file} is two images, and can be only one in this format")
            both = f"{other.file} and {each.file}"
            raise UserError(f"{both} would have annotations of one name in this format")
    return [*found.values()]


def copy_images(images: list[Placed], folder: Path) -> None:
    """Copies the files below a folder."""
    for each in images:
        target = folder / each.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(each.file, target)


def names_by_id(parts: Mapping[str, Part]) -> dict[Any, str]:
    """Class names in the order of their ids, which is the label order; all splits have the same."""
    categories = next(iter(parts.values())).content["categories"]
    return dict(sorted((category["id"], category["name"]) for category in categories))


def corners_in(
    annotation: Mapping[str, Any], image: Mapping[str, Any]
) -> tuple[float, float, float, float] | None:
    """x1, y1, x2, y2 of a box clipped to its image; None if nothing remains."""
    x, y, width, height = annotation["bbox"]
    x1, x2 = (min(max(edge, 0), image["width"]) for edge in (x, x + width))
    y1, y2 = (min(max(edge, 0), image["height"]) for edge in (y, y + height))
    return (x1, y1, x2, y2) if x2 > x1 and y2 > y1 else None


def boxes_of(
    each: Placed, lost: dict[str, int], *, crowds: bool = False
) -> Iterator[tuple[dict, tuple[float, float, float, float]]]:
    """The annotations of an image with their corners.

    Args:
        lost: counts what is left out, including masks.
        crowds: whether the format can represent them.
    """
    for annotation in each.annotations:
        corners = corners_in(annotation, each.image)
        if annotation.get("iscrowd") and not crowds:
            lost["crowds are left out"] += 1
        elif corners is None:
            lost["boxes outside of their images are left out"] += 1
        else:
            lost["masks become boxes"] += bool(annotation.get("segmentation"))
            lost["boxes are cut at the edges of their images"] += _is_cut(annotation, corners)
            yield annotation, corners


def _is_cut(annotation: Mapping[str, Any], corners: Sequence[float]) -> bool:
    x, y, width, height = annotation["bbox"]
    pairs = zip((x, y, x + width, y + height), corners, strict=True)
    return any(abs(before - after) > ROUNDING for before, after in pairs)
