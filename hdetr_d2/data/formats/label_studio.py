"""Label Studio's json: a list of tasks, with coordinates in percent of the image."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hdetr_d2.data.coco_json.segmentation import span
from hdetr_d2.data.formats.content import Found, Labelled, Picture, labels_of, parts_of
from hdetr_d2.data.formats.dividing import split_of_path
from hdetr_d2.data.formats.looking import files_below, holds, relative
from hdetr_d2.data.formats.outlines import corners_of, ellipse, turned
from hdetr_d2.data.formats.pictures import Pictures, sizes
from hdetr_d2.errors import UserError
from hdetr_d2.pixels import ImageFormat
from hdetr_d2.utils.json_file import read_json

NAME = "Label Studio"
LOOKS_FOR = "its json of tasks with annotations"
# Prefix of uploaded files' names.
UPLOADED = re.compile("^[0-9a-f]{8}-")
RECTANGLE, POLYGON, ELLIPSE = "rectangle", "polygon", "ellipse"
MASKS = "brush"


def mark(folder: Path) -> str | None:
    return next((relative(path, folder) for path in _jsons(folder)), None)


def read(folder: Path, image_format: ImageFormat) -> Found:
    pictures, left_out = Pictures(folder, image_format), Counter[str]()
    splits: dict[str, list[Picture]] = {}
    paths = [*_jsons(folder)]
    for path in paths:
        tasks = [*_tasks(path, pictures, left_out)]
        splits.setdefault(split_of_path(path, folder) or "train", []).extend(tasks)
    notes = [f"{count} {what}" for what, count in left_out.items()]
    parts = parts_of(splits, labels_of(splits), folder)
    return Found(folder, NAME, relative(paths[0], folder), parts, notes)


def _jsons(folder: Path) -> Iterator[Path]:
    for path in files_below(folder, ".json"):
        if holds(path, b"[", b'"annotations"', b'"result"'):
            yield path


def _tasks(path: Path, pictures: Pictures, left_out: Counter[str]) -> Iterator[Picture]:
    for task in read_json(path):
        where = f"{path}: task {task.get('id')}"
        address = _address(task.get("data") or {}, where)
        file = _file(address, path.parent, pictures)
        if file is None:
            raise UserError(f"{where}: its image {address} is not in the folder")
        chosen = _chosen(task, left_out)
        if chosen is None:
            left_out["tasks are left out, as nobody has labelled them"] += 1
            continue
        pictures.claim(file, where)
        objects = [
            found for result in chosen["result"] for found in _labelled(result, where, left_out)
        ]
        yield Picture(file, _size(chosen["result"], file, pictures.image_format), objects)


def _address(data: Mapping[str, Any], where: str) -> str:
    """The image of a task: in `image`, or whichever field looks like one."""
    texts = [data.get("image"), *data.values()]
    found = next((text for text in texts if isinstance(text, str) and "." in text), None)
    if found is None:
        raise UserError(f"{where} names no image")
    return found


def _file(address: str, near: Path, pictures: Pictures) -> Path | None:
    """Handles local files too, whose paths follow `?d=`, with or without the upload prefix."""
    parts = urlsplit(address)
    path = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]
    folder, _, name = path.rpartition("/")
    plain = f"{folder}/{UPLOADED.sub('', name)}"
    return pictures.find(path, near=near) or pictures.find(plain, near=near)


def _chosen(task: Mapping[str, Any], left_out: Counter[str]) -> Mapping[str, Any] | None:
    """One of the annotations of a task: the ground truth, otherwise the first one that was not
    cancelled.
    """
    given = [a for a in task.get("annotations") or [] if not a.get("was_cancelled")]
    if len(given) > 1:
        left_out["annotations of tasks are left out, as another person's counts"] += len(given) - 1
    return next((a for a in given if a.get("ground_truth")), given[0] if given else None)


def _size(results: list[dict], file: Path, image_format: ImageFormat) -> tuple[int, int] | None:
    """The size at which it was displayed."""
    for result in results:
        if result.get("original_width") and result.get("original_height"):
            return int(result["original_width"]), int(result["original_height"])
    return sizes([file], image_format)[file]


def _labelled(result: dict, where: str, left_out: Counter[str]) -> Iterator[Labelled]:
    """One object for each label of a region."""
    kind, value = result.get("type") or "", result.get("value") or {}
    source = f"{where}: {kind} {result.get('id')}"
    shape = next((each for each in (RECTANGLE, POLYGON, ELLIPSE) if each in kind), None)
    # Belongs to a region of its own, whose labels it repeats
    if shape is None and kind == "labels":
        shape = next((s for s, key in KEYS.items() if key in value), None)
    if shape is None:
        if MASKS in kind:
            raise UserError(f"{source} is a mask of a brush: export in COCO's format instead")
        left_out[f"results of type {kind} are left out"] += 1
        return
    labels = value.get(kind) or value.get("labels") or []
    if not labels:
        if kind.endswith("labels"):
            raise UserError(f"{source} has no label")
        return
    polygon = _polygon(shape, value, result, source)
    is_box = shape == RECTANGLE and not value.get("rotation")
    for label in labels:
        segmentation = None if is_box else [polygon]
        yield Labelled(str(label), span([polygon]), segmentation, source=source)


KEYS = {POLYGON: "points", ELLIPSE: "radiusX", RECTANGLE: "width"}


def _polygon(shape: str, value: dict, result: dict, source: str) -> list[float]:
    """In pixels. Boxes rotate clockwise about their upper left corner."""
    try:
        across, down = result["original_width"] / 100, result["original_height"] / 100
        angle = float(value.get("rotation") or 0)
        if shape == POLYGON:
            return [part for x, y in value["points"] for part in (x * across, y * down)]
        x, y = value["x"] * across, value["y"] * down
        if shape == ELLIPSE:
            return ellipse((x, y), (value["radiusX"] * across, value["radiusY"] * down), angle)
        box = (x, y, x + value["width"] * across, y + value["height"] * down)
        return turned(corners_of(box), angle, (x, y))
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{source} cannot be read: {type(error).__name__} {error}") from None
