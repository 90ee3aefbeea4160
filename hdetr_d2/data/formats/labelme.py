"""LabelMe's json, also written by X-AnyLabeling: one file per image, with shapes in pixels of the
upright image.
"""

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hdetr_d2.data.coco_json.segmentation import span
from hdetr_d2.data.formats.content import Found, Labelled, Picture, labels_of, parts_of
from hdetr_d2.data.formats.dividing import split_of_path
from hdetr_d2.data.formats.labelme_masks import joined_masks, placed_mask
from hdetr_d2.data.formats.looking import files_below, holds, relative
from hdetr_d2.data.formats.outlines import corners_of, ellipse
from hdetr_d2.data.formats.pictures import Pictures, sizes
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat
from hdetr_d2.utils.json_file import read_json

NAME = "LabelMe"
LOOKS_FOR = "json files with shapes and an imagePath"
BOX, CIRCLE, MASK = "rectangle", "circle", "mask"
POLYGONS = ("polygon", "oriented_rectangle", "rotation")
Size = tuple[int, int] | None
Group = tuple[str, Hashable]  # label, group_id


def mark(folder: Path) -> str | None:
    return next((relative(path, folder) for path in _jsons(folder)), None)


def read(folder: Path, image_format: ImageFormat) -> Found:
    pictures, left_out = Pictures(folder, image_format), Counter[str]()
    splits: dict[str, list[Picture]] = {}
    paths = [*_jsons(folder)]
    for path in paths:
        split = split_of_path(path.parent, folder) or "train"
        splits.setdefault(split, []).append(_picture(path, pictures, left_out))
    notes = [f"{count} shapes of type {kind} are left out" for kind, count in left_out.items()]
    parts = parts_of(splits, labels_of(splits), folder)
    return Found(folder, NAME, relative(paths[0], folder), parts, notes)


def _jsons(folder: Path) -> Iterator[Path]:
    for path in files_below(folder, ".json"):
        if holds(path, b"{", b'"shapes"', b'"imagePath"'):
            yield path


def _picture(path: Path, pictures: Pictures, left_out: Counter[str]) -> Picture:
    content = read_json(path)
    name = str(content.get("imagePath") or "")
    file = pictures.find(name, near=path.parent)
    if file is None:
        raise UserError(f"{path}: its image {name} is not in the folder")
    pictures.claim(file, str(path))
    size = _size(content, path, file, pictures.image_format)
    groups: dict[Group, list[Labelled]] = {}
    for number, shape in enumerate(content.get("shapes") or [], start=1):
        shape = shape if isinstance(shape, Mapping) else {}
        label, group = shape.get("label"), shape.get("group_id")
        source = f"{path}: shape {number} ({label})"
        if label is None or label == "":
            raise UserError(f"{source} has no label")
        found = _labelled(shape, str(label), source, size, left_out)
        if found is not None:
            alone = ("", number)
            key = (found.label, alone if group is None else group)
            groups.setdefault(key, []).append(found)
    return Picture(file, size, [_joined(parts, size) for parts in groups.values()])


def _size(content: Mapping[str, Any], path: Path, file: Path, image_format: ImageFormat) -> Size:
    width, height = content.get("imageWidth"), content.get("imageHeight")
    if not width or not height:
        return sizes([file], image_format)[file]
    try:
        return int(width), int(height)
    except (TypeError, ValueError, OverflowError):
        what = f"imageWidth {width!r} and imageHeight {height!r}"
        raise UserError(f"{path}: {what} must be numbers") from None


def _labelled(
    shape: Mapping[str, Any], label: str, source: str, size: Size, left_out: Counter[str]
) -> Labelled | None:
    """Reads one shape; None for shapes without an area, which are counted."""
    kind = shape.get("shape_type") or "polygon"
    if kind not in (BOX, CIRCLE, MASK, *POLYGONS):
        left_out[str(kind)] += 1
        return None
    points = _points(shape, source)
    least = 3 if kind in POLYGONS else 2
    if len(points) < least:
        raise UserError(f"{source}: a {kind} has at least {least} points, and this {len(points)}")
    if kind == MASK:
        if size is None:
            return None  # the file check will report that this image cannot be read
        box, mask = placed_mask(shape.get("mask"), points[0], size, source)
        return Labelled(label, box, mask, source=source)
    if kind == CIRCLE:
        radius = math.dist(points[0], points[1])
        polygon = ellipse(points[0], (radius, radius))
    else:
        polygon = [part for point in points for part in point]
    return Labelled(label, span([polygon]), None if kind == BOX else [polygon], source=source)


def _points(shape: Mapping[str, Any], source: str) -> list[tuple[float, float]]:
    try:
        points = [(float(x), float(y)) for x, y in shape["points"]]
    except (KeyError, TypeError, ValueError):
        points = [(math.nan, math.nan)]
    if not all(map(math.isfinite, (part for point in points for part in point))):
        raise UserError(f"{source}: points are no list of finite [x, y]")
    return points


def _joined(parts: Sequence[Labelled], size: Size) -> Labelled:
    """The parts of a group with the same label are one object."""
    first = parts[0]
    if len(parts) == 1:
        return first
    lefts, tops, rights, bottoms = zip(*(part.box for part in parts), strict=True)
    box = (min(lefts), min(tops), max(rights), max(bottoms))
    shapes = [part.segmentation for part in parts]
    if not any(shapes):
        return Labelled(first.label, box, source=first.source)
    outlines = [
        [[each for corner in corners_of(part.box) for each in corner]] if shape is None else shape
        for part, shape in zip(parts, shapes, strict=True)
    ]
    if size is not None and any(isinstance(shape, dict) for shape in shapes):
        return Labelled(first.label, box, joined_masks(outlines, size), source=first.source)
    polygons = [polygon for outline in outlines for polygon in outline]
    return Labelled(first.label, box, polygons, source=first.source)
