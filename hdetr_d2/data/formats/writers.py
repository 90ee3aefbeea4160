"""Writers of data sets. Each takes the splits and a new folder, and counts what its format cannot
represent.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from operator import attrgetter
from pathlib import Path
from xml.etree import ElementTree

import yaml

from hdetr_d2.data.formats.content import Found
from hdetr_d2.data.formats.placing import (
    Placed,
    boxes_of,
    copy_images,
    names_by_id,
    placed,
    placed_apart,
)
from hdetr_d2.data.formats.yolo_labels import label_file

Writer = Callable[[Found, Path, Counter], None]


def write_coco(found: Found, folder: Path, lost: Counter) -> None:
    """`annotations/SPLIT.json` and `SPLIT/`."""
    (folder / "annotations").mkdir()
    for split, part in found.parts.items():
        images = placed(part)
        copy_images(images, folder / split)
        entries = [{**each.image, "file_name": str(each.name)} for each in images]
        kept = [{k: v for k, v in a.items() if k != "source"} for a in part.content["annotations"]]
        content = {"info": {}, **part.content, "images": entries, "annotations": kept}
        _write(folder / "annotations" / f"{split}.json", json.dumps(content, ensure_ascii=False))


def write_yolo(found: Found, folder: Path, lost: Counter) -> None:
    """`data.yaml`, `images/SPLIT/` and `labels/SPLIT/`: boxes."""
    classes = names_by_id(found.parts)
    labels = {category_id: label for label, category_id in enumerate(classes)}
    for split, part in found.parts.items():
        images = placed_apart(part, attrgetter("stem"))
        copy_images(images, folder / "images" / split)
        for each in images:
            width, height = each.image["width"], each.image["height"]
            lines = []
            for annotation, (x1, y1, x2, y2) in boxes_of(each, lost):
                centre = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height)
                sides = ((x2 - x1) / width, (y2 - y1) / height)
                numbers = " ".join(map(repr, map(float, (*centre, *sides))))
                lines.append(f"{labels[annotation['category_id']]} {numbers}\n")
            _write(label_file(folder / "images" / split / each.name), "".join(lines))
    spec = {split: f"images/{split}" for split in found.parts} | {"names": [*classes.values()]}
    spec.setdefault("val", "")
    _write(folder / "data.yaml", yaml.safe_dump(spec, allow_unicode=True, sort_keys=False))


def write_voc(found: Found, folder: Path, lost: Counter) -> None:
    """The folders of the challenge, with subfolders for the splits if names would collide."""
    classes = names_by_id(found.parts)
    images = {split: placed_apart(part, attrgetter("stem")) for split, part in found.parts.items()}
    every = [each.stem for several in images.values() for each in several]
    apart = len(set(every)) < len(every)
    for split, several in images.items():
        below = split if apart else "."
        copy_images(several, folder / "JPEGImages" / below)
        for each in several:
            tree = _voc_tree(each, classes, found.channels, lost)
            target = folder / "Annotations" / below / each.name.with_suffix(".xml")
            _write(target, ElementTree.tostring(tree, encoding="unicode"))
        lines = [(Path(below) / each.stem).as_posix() + "\n" for each in several]
        _write(folder / "ImageSets" / "Main" / f"{split}.txt", "".join(lines))
    _write(folder / "labelmap.txt", "".join(f"{name}:::\n" for name in classes.values()))


def _voc_tree(each: Placed, classes: Mapping, channels: int, lost: Counter) -> ElementTree.Element:
    tree = ElementTree.Element("annotation")
    _texts(tree, filename=each.name.name)
    size = ElementTree.SubElement(tree, "size")
    _texts(size, width=each.image["width"], height=each.image["height"], depth=channels)
    for annotation, (x1, y1, x2, y2) in boxes_of(each, lost, crowds=True):
        found = ElementTree.SubElement(tree, "object")
        crowd = int(bool(annotation.get("iscrowd")))
        _texts(found, name=classes[annotation["category_id"]], difficult=crowd)
        # Pixels count from 1, and the last one belongs to the box.
        box = ElementTree.SubElement(found, "bndbox")
        _texts(box, xmin=x1 + 1, ymin=y1 + 1, xmax=x2, ymax=y2)
    return tree


def write_cvat(found: Found, folder: Path, lost: Counter) -> None:
    """`annotations.xml` of "CVAT for images", with the splits as subsets of a project."""
    classes = names_by_id(found.parts)
    tree = ElementTree.Element("annotations")
    _texts(tree, version="1.1")
    project = ElementTree.SubElement(ElementTree.SubElement(tree, "meta"), "project")
    labels = ElementTree.SubElement(project, "labels")
    for name in classes.values():
        _texts(ElementTree.SubElement(labels, "label"), name=name)
    number = 0
    for split, part in found.parts.items():
        images = placed_apart(part, attrgetter("name"))
        copy_images(images, folder / "images" / split)
        for each in images:
            size = {side: str(each.image[side]) for side in ("width", "height")}
            head = {"id": str(number), "name": str(each.name), "subset": split, **size}
            entry = ElementTree.SubElement(tree, "image", head)
            for annotation, corners in boxes_of(each, lost):
                names = zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True)
                edges = {name: repr(float(edge)) for name, edge in names}
                label = classes[annotation["category_id"]]
                ElementTree.SubElement(entry, "box", {"label": label, **edges})
            number += 1
    _write(folder / "annotations.xml", ElementTree.tostring(tree, encoding="unicode"))


WRITERS: dict[str, Writer] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "voc": write_voc,
    "cvat": write_cvat,
}


def _texts(parent: ElementTree.Element, **texts: object) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = str(text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
