"""CVAT's xml, version 1.1: "for images", and "for video", whose tracks need exported frames."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from hdetr_d2.data.coco_json.segmentation import span
from hdetr_d2.data.formats.content import Found, Labelled, Picture, parts_of
from hdetr_d2.data.formats.dividing import split_of, split_of_path
from hdetr_d2.data.formats.looking import files_below, relative
from hdetr_d2.data.formats.outlines import corners_of, ellipse, turned
from hdetr_d2.data.formats.pictures import Pictures, pictures_below, sizes
from hdetr_d2.data.formats.run_lengths import run_lengths
from hdetr_d2.data.formats.xml_files import has_root, number_of, read_xml, text_of
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat

NAME = "CVAT"
LOOKS_FOR = "an xml file with <annotations>"
ROOT = "annotations"


@dataclass
class _Reading:
    """What is collected from the xml files of a folder."""

    folder: Path
    pictures: Pictures
    splits: dict[str, list[Picture]] = field(default_factory=dict)
    classes: dict[str, None] = field(default_factory=dict)
    left_out: Counter = field(default_factory=Counter)

    def add(self, split: str, picture: Picture) -> None:
        self.splits.setdefault(split, []).append(picture)
        self.classes |= dict.fromkeys(found.label for found in picture.objects)


def mark(folder: Path) -> str | None:
    return next((relative(path, folder) for path in _xmls(folder)), None)


def read(folder: Path, image_format: ImageFormat) -> Found:
    reading = _Reading(folder, Pictures(folder, image_format))
    paths = [*_xmls(folder)]
    for path in paths:
        root = read_xml(path)
        reading.classes |= dict.fromkeys(_labels(root))
        images, tracks = root.findall("image"), root.findall("track")
        for image in images:
            _read_image(image, path, reading)
        if tracks and not images:
            _read_tracks(root, tracks, path, reading)
    notes = [f"{count} of {tag} are left out" for tag, count in reading.left_out.items()]
    parts = parts_of(reading.splits, [*reading.classes], folder)
    return Found(folder, NAME, relative(paths[0], folder), parts, notes)


def _xmls(folder: Path) -> Iterator[Path]:
    return (path for path in files_below(folder, ".xml") if has_root(path, ROOT))


def _labels(root: Element) -> list[str]:
    """Class names; a label with a parent is a point of a skeleton."""
    labels = root.iterfind("./meta/*/labels/label")
    return [text_of(label, "name") for label in labels if not text_of(label, "parent")]


def _split(subset: str | None, path: Path, folder: Path) -> str:
    return split_of(subset or "") or split_of_path(path, folder) or "train"


def _read_image(image: Element, path: Path, reading: _Reading) -> None:
    name, subset = image.get("name") or "", image.get("subset")
    where = f"{path}: image {image.get('id')} ({name})"
    below, near = f"{subset}/{name}" if subset else name, path.parent / "images"
    file = reading.pictures.find(below, near=near) or near / below
    reading.pictures.claim(file, where)
    width, height = (number_of(image.get(side), f"{where}: {side}") for side in SIDES)
    objects = []
    for number, shape in enumerate(image, start=1):
        if (read_shape := SHAPES.get(shape.tag)) is not None:
            source = f"{where}: {shape.tag} {number}"
            label = shape.get("label") or ""
            objects.append(read_shape(shape, label, source, (int(width), int(height))))
        elif shape.tag != "tag":
            reading.left_out[shape.tag] += 1
    size = (int(width), int(height))
    reading.add(_split(subset, path, reading.folder), Picture(file, size, objects))


SIDES = ("width", "height")
CORNERS = ("xtl", "ytl", "xbr", "ybr")


def _numbers(shape: Element, names: Sequence[str], source: str) -> list[float]:
    return [number_of(shape.get(name), f"{source}: {name}") for name in names]


def _box(shape: Element, label: str, source: str, size: tuple[int, int]) -> Labelled:
    x1, y1, x2, y2 = _numbers(shape, CORNERS, source)
    angle = number_of(shape.get("rotation") or "0", f"{source}: rotation")
    if not angle:
        return Labelled(label, (x1, y1, x2, y2), source=source)
    centre = ((x1 + x2) / 2, (y1 + y2) / 2)
    return _outlined(turned(corners_of((x1, y1, x2, y2)), angle, centre), label, source)


def _polygon(shape: Element, label: str, source: str, size: tuple[int, int]) -> Labelled:
    texts = re.split("[;,]", shape.get("points") or "")
    return _outlined([number_of(text, f"{source}: points") for text in texts], label, source)


def _ellipse(shape: Element, label: str, source: str, size: tuple[int, int]) -> Labelled:
    x, y, rx, ry = _numbers(shape, ("cx", "cy", "rx", "ry"), source)
    angle = number_of(shape.get("rotation") or "0", f"{source}: rotation")
    return _outlined(ellipse((x, y), (rx, ry), angle), label, source)


def _mask(shape: Element, label: str, source: str, size: tuple[int, int]) -> Labelled:
    texts = (shape.get("rle") or "").split(",")
    counts = [int(number_of(text, f"{source}: rle")) for text in texts]
    place = [int(each) for each in _numbers(shape, ("left", "top", "width", "height"), source)]
    left, top, width, height = place
    if sum(counts) != width * height:
        raise UserError(f"{source}: rle is of {sum(counts)} pixels, not of {width} x {height}")
    mask = run_lengths(counts, (left, top, width, height), size)
    return Labelled(label, (left, top, left + width, top + height), mask, source=source)


def _outlined(polygon: list[float], label: str, source: str) -> Labelled:
    if len(polygon) < 6 or len(polygon) % 2:
        raise UserError(f"{source} has fewer than three points")
    return Labelled(label, span([polygon]), [polygon], source=source)


Shape = Callable[[Element, str, str, tuple[int, int]], Labelled]
SHAPES: dict[str, Shape] = {"box": _box, "polygon": _polygon, "ellipse": _ellipse, "mask": _mask}


def _read_tracks(root: Element, tracks: Sequence[Element], path: Path, reading: _Reading) -> None:
    """Frames are images with a number at the end of their names; what is outside is ignored."""
    frames: dict[int, Path] = {}
    form = reading.pictures.image_format
    for file in pictures_below(path.parent, form):
        for digits in re.findall(r"\d+", file.stem)[-1:]:
            if (other := frames.setdefault(int(digits), file)) != file:
                raise UserError(f"{path}: {other} and {file} could both be frame {int(digits)}")
    if not frames:
        raise UserError(f"{path} is of a video: export it with its images")
    found_sizes = sizes([*frames.values()], form)
    objects: dict[int, list[Labelled]] = {}
    for track in tracks:
        label = track.get("label") or ""
        for shape in track:
            if (read_shape := SHAPES.get(shape.tag)) is None:
                reading.left_out[shape.tag] += 1
            elif shape.get("outside") != "1":
                source = f"{path}: track {track.get('id')}, frame {shape.get('frame')}"
                frame = int(number_of(shape.get("frame"), source))
                if frame not in frames:
                    raise UserError(f"{source}: there is no image of that frame")
                if (size := found_sizes[frames[frame]]) is not None:
                    objects.setdefault(frame, []).append(read_shape(shape, label, source, size))
    split = _split(text_of(root.find("./meta/task"), "subset"), path, reading.folder)
    for frame, file in sorted(frames.items()):
        reading.add(split, Picture(file, found_sizes[file], objects.get(frame, [])))
