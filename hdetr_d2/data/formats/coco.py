"""COCO's json, also in the layouts of Roboflow, CVAT, Label Studio and FiftyOne.

Roboflow's exports begin with a category 0 that is the parent of the others and has no objects; it
is not a class.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from hdetr_d2.data.coco_json.reading import SECTIONS, read_coco_json
from hdetr_d2.data.formats.content import SPLITS, Found, Part
from hdetr_d2.data.formats.dividing import split_of, split_of_path
from hdetr_d2.data.formats.looking import files_below, holds, relative
from hdetr_d2.data.present_files import why_missing
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat

NAME = "COCO"
LOOKS_FOR = "a json with images, annotations and categories"
ROBOFLOW = "_annotations.coco.json"
# This many image names suffice to find their folder.
ENOUGH = 20
ELSEWHERE = " (these are paths of another machine: cut file_name to what lies below one of these)"


def mark(folder: Path) -> str | None:
    return next((relative(path, folder) for path in _jsons(folder)), None)


def read(folder: Path, image_format: ImageFormat) -> Found:
    files, notes = _by_split([*_jsons(folder)], folder)
    contents = {}
    for split, path in files.items():
        coco = read_coco_json(path, annotated=split == "train")
        contents[split] = {section: getattr(coco, section) for section in SECTIONS}
    parent = None
    if all(path.name == ROBOFLOW for path in files.values()):
        parent = _parent([*contents.values()])
    parts = {}
    for split in SPLITS:
        if split in contents:
            root = _root(files[split], contents[split]["images"], folder, split)
            content, json_file = contents[split], files[split]
            parts[split] = Part(content, root, json_file)
            if parent is not None:
                kept = [each for each in content["categories"] if each["id"] != parent["id"]]
                parts[split] = Part({**content, "categories": kept}, root)
    if parent is not None:
        notes.append(f"category {parent['id']}, {parent['name']!r}, is a parent and no class")
    return Found(folder, NAME, relative(next(iter(files.values())), folder), parts, notes)


def _jsons(folder: Path) -> Iterator[Path]:
    """Those with objects: captions have no categories, and panoptic jsons have segments."""
    for path in files_below(folder, ".json"):
        of_coco = holds(path, b"{", b'"images"', b'"categories"')
        if of_coco and not holds(path, b"{", b'"segments_info"'):
            yield path


def _by_split(paths: Sequence[Path], folder: Path) -> tuple[dict[str, Path], list[str]]:
    """The json of each split, and notes about those left out.

    Raises:
        UserError: several candidates.
    """
    found: dict[str | None, list[Path]] = {}
    for path in paths:
        found.setdefault(split_of_path(path, folder), []).append(path)
    unnamed, notes = found.pop(None, []), []
    if unnamed and "train" not in found:
        found["train"] = unnamed
    elif unnamed:
        names = ", ".join(relative(path, folder) for path in unnamed)
        notes.append(f"{names} left out, as the name tells no split")
    files = {}
    for split, several in found.items():
        instances = [path for path in several if path.stem.startswith("instances")]
        several = instances if len(several) > 1 and instances else several
        if len(several) > 1:
            names = " and ".join(relative(path, folder) for path in several)
            raise UserError(
                f"{folder}: {names} could both be the {split} split; leave one of them, or let "
                "their names tell the splits (train, val, test)"
            )
        files[str(split)] = several[0]
    return files, notes


def _parent(contents: Sequence[dict[str, Any]]) -> dict | None:
    """The category that Roboflow writes for the project."""
    categories = [each for content in contents for each in content["categories"]]
    first = next((each for each in categories if each.get("id") == 0), None)
    used = {a.get("category_id") for content in contents for a in content["annotations"]}
    if first is None or 0 in used or "name" not in first or not all("id" in c for c in categories):
        return None
    others = [each for each in categories if each["id"] != 0]
    is_parent = others and all(each.get("supercategory") == first["name"] for each in others)
    return first if is_parent else None


def _root(json_file: Path, images: Sequence[dict], folder: Path, split: str) -> Path:
    """The folder that `file_name`s are relative to: the one that contains most of a sample."""
    names = [i["file_name"] for i in images if isinstance(i.get("file_name"), str)]
    some = list(islice(names, ENOUGH))
    candidates = list(dict.fromkeys(_candidates(json_file, folder, split)))
    counts = [sum((each / name).is_file() for name in some) for each in candidates]
    if some and not max(counts):
        looked = ", ".join(map(str, candidates))
        hint = why_missing(some[0]) or (ELSEWHERE if Path(some[0]).is_absolute() else "")
        raise UserError(f"{json_file}: its images ({some[0]}, ...) are in none of {looked}{hint}")
    return candidates[counts.index(max(counts))]


def _candidates(json_file: Path, folder: Path, split: str) -> Iterator[Path]:
    yield from (json_file.parent, json_file.parent / "images")
    for base in (folder, folder / "images", folder / "data"):
        yield base
        if base.is_dir():
            children = sorted(path for path in base.iterdir() if path.is_dir())
            yield from (path for path in children if split_of(path.name) == split)
    name = json_file.stem.removeprefix("instances_")
    yield from (folder / name, folder / "images" / name)
