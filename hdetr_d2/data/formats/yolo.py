"""YOLO: one text file per image, one line per object, in fractions of the image; classes in a yaml
file, or in `classes.txt` as exported by Label Studio and LabelImg.
"""

import codecs
import math
import re
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from hdetr_d2.data.coco_json.segmentation import span
from hdetr_d2.data.formats.content import Found, Labelled, Picture, parts_of
from hdetr_d2.data.formats.dividing import split_of_path
from hdetr_d2.data.formats.looking import files_below, read_text, relative
from hdetr_d2.data.formats.pictures import pictures_below, sizes
from hdetr_d2.data.formats.yolo_labels import label_file, labels_alone, looks_like_labels
from hdetr_d2.data.formats.yolo_splits import split_files
from hdetr_d2.data.survey import few
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat

NAME = "YOLO"
LOOKS_FOR = "a data.yaml with names, or classes.txt beside images and labels"
CLASSES, IMAGES, LABELS = "classes.txt", "images", "labels"
_LOOKED_INTO = 20
# Fractions further outside must be pixels.
FARTHEST = 2.0


def mark(folder: Path) -> str | None:
    file = next(iter(_yaml_files(folder)), None) or _classes_file(folder)
    return None if file is None else relative(file, folder)


def lacks(folder: Path) -> str | None:
    """What a folder that `mark` does not recognise lacks to be of this format; None if nothing
    suggests it.
    """
    for name in ("data.yaml", "data.yml"):
        if (folder / name).is_file():
            return f"its {name} has no line that begins with names: or nc:"
    for path in (*files_below(folder, ".yaml"), *files_below(folder, ".yml")):
        if _has_names(path):
            return f"a data set of YOLO is in {path.parent}: give that folder"
    for path in files_below(folder, ".txt")[:_LOOKED_INTO]:
        if looks_like_labels(path):
            named = relative(path, folder)
            return f"{named} looks like labels of YOLO, which need a data.yaml with train and names"
    return None


def read(folder: Path, image_format: ImageFormat) -> Found:
    files = _yaml_files(folder)
    if len(files) > 1:
        names = " and ".join(path.name for path in files)
        raise UserError(f"{folder}: {names} could both be the yaml file of the data; leave one")
    notes: list[str] = []
    if files:
        spec = _read_spec(files[0])
        classes = _class_names(spec, files[0])
        splits = split_files(spec, files[0], notes, image_format)
        mark = files[0]
    else:
        mark = _classes_file(folder) or folder / CLASSES
        spec, lines = {}, read_text(mark).splitlines()
        classes = {index: name.strip() for index, name in enumerate(lines) if name.strip()}
        splits = _splits_by_folders(folder, image_format)
    if twice := [name for name in classes.values() if [*classes.values()].count(name) > 1]:
        raise UserError(f"{folder}: several classes have the name {twice[0]!r}")
    pictures = {
        split: _pictures(
            images,
            classes,
            image_format,
            has_points="kpt_shape" in spec,
            may_lack_labels=split == "test",
        )
        for split, images in splits.items()
    }
    parts = parts_of(pictures, [*classes.values()], folder)
    losses = _losses(folder, splits, image_format)
    return Found(folder, NAME, relative(mark, folder), parts, notes, losses)


def _losses(
    folder: Path, splits: Mapping[str, Sequence[Path]], image_format: ImageFormat
) -> list[str]:
    alone = labels_alone((image for images in splits.values() for image in images), image_format)
    if not alone:
        return []
    names = [relative(path, folder) if path.is_relative_to(folder) else str(path) for path in alone]
    return [f"{len(alone)} label files have no image, and do not count: {few(names)}"]


def _splits_by_folders(folder: Path, image_format: ImageFormat) -> dict[str, list[Path]]:
    """The images of an export without a yaml file: the nearest folder named like a split determines
    theirs. Image names do not, because they may describe the content.
    """
    apart = (folder / LABELS).is_dir()
    if apart and not (folder / IMAGES).is_dir():
        raise UserError(f"{folder} has {LABELS}/ and no {IMAGES}/, where their images are expected")
    splits: dict[str, list[Path]] = {}
    for image in pictures_below(folder / IMAGES if apart else folder, image_format):
        splits.setdefault(split_of_path(image.parent, folder) or "train", []).append(image)
    return splits


def _classes_file(folder: Path) -> Path | None:
    """`classes.txt` of an export without a yaml file: beside or in the folder of the labels, or, as
    LabelImg writes it, beside labels and images.
    """
    apart = (folder / LABELS).is_dir()
    places = (folder / CLASSES, folder / LABELS / CLASSES)
    file = next((path for path in places if path.is_file()), None)
    beside = islice(sorted(folder.glob("*.txt")), _LOOKED_INTO)
    return file if apart or any(map(looks_like_labels, beside)) else None


def _yaml_files(folder: Path) -> list[Path]:
    """`data.yaml`, otherwise all yaml files with class names."""
    files = sorted(path for path in folder.glob("*.y*ml") if path.suffix in (".yaml", ".yml"))
    found = list(filter(_has_names, files))
    return [path for path in found if path.stem == "data"] or found


def _has_names(path: Path) -> bool:
    try:
        content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError:
        return False
    return re.search(rb"^(names|nc)\s*:", content, re.MULTILINE) is not None


def _read_spec(path: Path) -> dict[str, Any]:
    """All values as written: a class "no" or "1" is a name."""
    try:
        spec = yaml.load(read_text(path), Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(spec, dict):
        raise UserError(f"{path} is not a YOLO data set: it has no train and no names")
    return spec


def _class_names(spec: Mapping[str, Any], path: Path) -> dict[int, str]:
    names, count = spec.get("names"), spec.get("nc")
    try:
        if isinstance(names, dict):
            classes = {int(index): str(name) for index, name in names.items()}
        elif isinstance(names, list):
            classes = {index: str(name) for index, name in enumerate(names)}
        else:
            classes = {index: f"class_{index}" for index in range(int(str(count)))}
        stated = len(classes) if count is None else int(count)
    except (TypeError, ValueError):
        raise UserError(f"{path}: names={names} and nc={count} tell no classes") from None
    if stated != len(classes) or not classes:
        raise UserError(f"{path} has nc={count}, and {len(classes)} names")
    return dict(sorted(classes.items()))


def _pictures(
    images: Sequence[Path],
    classes: Mapping[int, str],
    image_format: ImageFormat,
    *,
    has_points: bool,
    may_lack_labels: bool,
) -> list[Picture]:
    labels = {image: label_file(image) for image in images}
    there = {image for image, path in labels.items() if path.is_file()}
    if images and not there and not may_lack_labels:
        raise UserError(
            f"none of {len(images)} images has a label file: that of {images[0]} would be "
            f"{labels[images[0]]}"
        )
    found = sizes(images, image_format)
    pictures = []
    for image in images:
        size, objects = found[image], []
        if image in there and size is not None:
            for number, line in enumerate(read_text(labels[image]).splitlines(), start=1):
                if line.strip():
                    source = f"{labels[image]}, line {number}"
                    words = line.split()[:5] if has_points else line.split()
                    objects.append(_labelled(words, size, classes, source))
        pictures.append(Picture(image, size, objects))
    return pictures


def _labelled(
    words: Sequence[str], size: tuple[int, int], classes: Mapping[int, str], source: str
) -> Labelled:
    """An object: class, then centre, width and height, or at least three points."""
    try:
        index, *values = map(float, words)
    except ValueError:
        raise UserError(f"{source}: {' '.join(words)!r} is not all numbers") from None
    if index not in classes:
        raise UserError(f"{source}: class {words[0]}, but there are {min(classes)}..{max(classes)}")
    if len(values) != 4 and (len(values) < 6 or len(values) % 2):
        raise UserError(
            f"{source}: {len(words)} numbers, which are neither a box (5) nor a polygon (7, 9, ...)"
        )
    if odd := [v for v in values if not (math.isfinite(v) and abs(v) <= FARTHEST)]:
        raise UserError(f"{source}: YOLO's are fractions of the image, and {odd[0]} is none")
    width, height = size
    pixels = [value * (height if place % 2 else width) for place, value in enumerate(values)]
    name = classes[int(index)]
    if len(values) > 4:
        return Labelled(name, span([pixels]), segmentation=[pixels], source=source)
    x, y, w, h = pixels
    return Labelled(name, (x - w / 2, y - h / 2, x + w / 2, y + h / 2), source=source)
