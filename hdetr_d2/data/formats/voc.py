"""Pascal VOC: one xml per image, in the folders of the challenge, or beside the images as written
by LabelImg and Roboflow.

The format counts pixels from 1, and `xmax` is the last pixel of the object: the box ranges from
xmin - 1 to xmax, as in Detectron2. Many tools write corners that count from 0. A box that begins at
0 shows that its data set is of that kind, and the box then ranges from xmin to xmax.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from xml.etree.ElementTree import Element

from hdetr_d2.data.formats.content import Found, Labelled, Picture, parts_of
from hdetr_d2.data.formats.dividing import split_of_path
from hdetr_d2.data.formats.looking import files_below, holds, read_text, relative
from hdetr_d2.data.formats.pictures import Pictures, sizes
from hdetr_d2.data.formats.xml_files import has_root, number_of, read_xml, text_of
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat

NAME = "Pascal VOC"
LOOKS_FOR = "xml files with an <annotation>"
ROOT, FOLDER, IMAGES = "annotation", "Annotations", "JPEGImages"
LABELMAP = "labelmap.txt"
Lists = Mapping[str, frozenset[str]]
EDGES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class _Entry:
    """An xml: its image, with boxes as they are in the file."""

    path: Path
    picture: Picture


def mark(folder: Path) -> str | None:
    return next((relative(path, folder) for path in _xmls(folder)), None)


def read(folder: Path, image_format: ImageFormat) -> Found:
    pictures = Pictures(folder, image_format)
    entries = [_entry(path, pictures) for path in _xmls(folder)]
    entries = _with_sizes(entries, image_format)
    objects = [found for entry in entries for found in entry.picture.objects]
    first = 0 if any(min(found.box[:2]) < 1 for found in objects) else 1
    splits: dict[str, list[Picture]] = {}
    lists = cache(_lists)  # only for this call
    left_out = 0
    for entry in entries:
        split = _split(entry.path, folder, lists)
        left_out += split is None
        if split is not None:
            pictures.claim(entry.picture.file, str(entry.path))
            splits.setdefault(split, []).append(_counted_from(first, entry.picture))
    why = "as the format says" if first else "as a box begins at 0"
    notes = [f"pixels count from {first}, {why}"]
    if left_out:
        notes.append(f"{left_out} xml files are left out, which no list in ImageSets names")
    parts = parts_of(splits, _class_names(folder, objects), folder)
    return Found(folder, NAME, relative(entries[0].path, folder), parts, notes)


def _xmls(folder: Path) -> Iterator[Path]:
    """LabelMe's have the same root, but another name for the size."""
    for path in files_below(folder, ".xml"):
        if has_root(path, ROOT) and not holds(path, b"<", b"<imagesize>"):
            yield path


def _entry(path: Path, pictures: Pictures) -> _Entry:
    root = read_xml(path)
    named = text_of(root, "filename")
    # Copied files often keep the original's <filename>, so the name of the xml comes first.
    below = path.parent.relative_to(pictures.folder).parts
    near = pictures.folder.joinpath(*(IMAGES if name == FOLDER else name for name in below))
    image = pictures.find(path.stem, near=near, called=named) or pictures.find(named, near=near)
    file = image or path.parent / (named or path.with_suffix(".jpg").name)
    size = root.find("size")
    width, height = (text_of(size, side) for side in ("width", "height"))
    stated = [int(number_of(text or "0", f"{path}: size")) for text in (width, height)]
    objects = [
        _labelled(each, f"{path}: object {number}")
        for number, each in enumerate(root.findall("object"), start=1)
    ]
    return _Entry(path, Picture(file, (stated[0], stated[1]) if min(stated) > 0 else None, objects))


def _labelled(element: Element, where: str) -> Labelled:
    name, box = text_of(element, "name"), element.find("bndbox")
    source = f"{where} ({name})"
    if not name or box is None:
        raise UserError(f"{source} has no {'name' if not name else 'bndbox'}")
    x1, y1, x2, y2 = (number_of(box.findtext(edge), f"{source}: {edge}") for edge in EDGES)
    difficult = text_of(element, "difficult") == "1"
    return Labelled(name, (x1, y1, x2, y2), ignored=difficult, source=source)


def _with_sizes(entries: Sequence[_Entry], image_format: ImageFormat) -> list[_Entry]:
    """Adds the sizes of the files where an xml states none."""
    unsized = [entry.picture.file for entry in entries if entry.picture.size is None]
    found = sizes(unsized, image_format)
    return [
        replace(e, picture=replace(e.picture, size=e.picture.size or found[e.picture.file]))
        for e in entries
    ]


def _counted_from(first: int, picture: Picture) -> Picture:
    """Boxes measured from the outer edge of the first pixel."""
    objects = []
    for found in picture.objects:
        x1, y1, x2, y2 = found.box
        objects.append(replace(found, box=(x1 - first, y1 - first, x2, y2)))
    return replace(picture, objects=objects)


def _split(path: Path, folder: Path, read_lists: Callable[[Path], Lists]) -> str | None:
    """Given by the challenge's lists, otherwise by the nearest name of a folder; None if no list
    contains it.
    """
    below = path.relative_to(folder)
    if FOLDER in below.parts:
        base = folder.joinpath(*below.parts[: below.parts.index(FOLDER)])
        lists = read_lists(base)
        name = path.relative_to(base / FOLDER).with_suffix("").as_posix()
        if lists:
            return next((split for split, names in lists.items() if name in names), None)
    return split_of_path(path.parent, folder) or "train"


def _lists(base: Path) -> Lists:
    folder = base / "ImageSets" / "Main"
    files = {split: folder / f"{split}.txt" for split in ("train", "val", "test")}
    if not files["train"].is_file():
        files["train"] = folder / "trainval.txt"
    return {
        split: frozenset(line.strip() for line in read_text(path).splitlines())
        for split, path in files.items()
        if path.is_file()
    }


def _class_names(folder: Path, objects: Sequence[Labelled]) -> list[str]:
    """Those of `labelmap.txt`, as written by CVAT, followed by any others, sorted."""
    path, listed = folder / LABELMAP, []
    if path.is_file():
        lines = [line.strip() for line in read_text(path).splitlines()]
        names = [line.rsplit(":", 3)[0] for line in lines if line and not line.startswith("#")]
        listed = [name for name in names if name != "background"]
    others = {found.label for found in objects} - set(listed)
    return [*listed, *sorted(others)]
