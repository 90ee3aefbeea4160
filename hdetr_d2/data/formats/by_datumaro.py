"""Everything else that `datumaro` reads: KITTI, Open Images, LabelMe's xml, WIDER FACE, VoTT, its
own format, and more.

Asked last, and only if installed: pip install 'hdetr_d2[datumaro]'.
"""

import importlib.util
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hdetr_d2.data.coco_json.segmentation import span
from hdetr_d2.data.formats.content import Found, Labelled, Picture, parts_of
from hdetr_d2.data.formats.dividing import split_of
from hdetr_d2.data.formats.run_lengths import encoded
from hdetr_d2.errors import UserError

INSTALL = "pip install 'hdetr_d2[datumaro]'"
# These contain no boxes, and match every folder of images.
NO_OBJECTS = ("image", "video", "tabular", "common_semantic")


def is_installed() -> bool:
    return importlib.util.find_spec("datumaro") is not None


def formats_of(folder: Path) -> list[str]:
    """The formats as which datumaro recognises the folder."""
    from datumaro.components.environment import Environment

    try:
        found = Environment().detect_dataset(str(folder))
    except ImportError:  # some of its formats need additional packages
        return []
    return [name for name in found if not name.startswith(NO_OBJECTS)]


def read(folder: Path, name: str) -> Found:
    """Reads the data set in one of datumaro's formats.

    Raises:
        UserError: datumaro cannot read it, or it has no boxes.
    """
    from datumaro.components.annotation import AnnotationType
    from datumaro.components.dataset import Dataset

    try:
        items = Dataset.import_from(str(folder), name)
        labels = items.categories().get(AnnotationType.label, ())
        classes = [label.name for label in labels]
        splits: dict[str, list[Picture]] = {}
        left_out: Counter[str] = Counter()
        for item in items:
            picture = _picture(item, classes, left_out, folder)
            splits.setdefault(split_of(item.subset) or "train", []).append(picture)
    except UserError:
        raise
    except Exception as error:  # its plugins raise all kinds of errors
        reason = " ".join(str(error).split())
        raise UserError(f"{folder}: datumaro cannot read it as {name}: {reason}") from error
    notes = [f"{count} of type {kind} are left out" for kind, count in left_out.items()]
    parts = parts_of(splits, classes, folder)
    return Found(folder, name, "as datumaro reads it", parts, notes)


def _picture(item: Any, classes: Sequence[str], left_out: Counter[str], folder: Path) -> Picture:
    size, path = getattr(item.media, "size", None), getattr(item.media, "path", None)
    where = f"{folder}: item {item.id} of {item.subset}"
    if not path:
        raise UserError(f"{where} has no image file")
    groups: dict[tuple[int, int], list[Any]] = {}
    for number, shape in enumerate(item.annotations):
        if shape.type.name not in ("bbox", "polygon", "mask", "rotated_bbox", "ellipse"):
            left_out[shape.type.name] += 1
        else:
            # A group is one object, such as a box with its mask.
            groups.setdefault((shape.group, 0 if shape.group else number), []).append(shape)
    objects = [_labelled(shapes, classes, where) for shapes in groups.values()]
    return Picture(Path(path), (int(size[1]), int(size[0])) if size else None, objects)


def _labelled(shapes: Sequence[Any], classes: Sequence[str], where: str) -> Labelled:
    label = next((shape.label for shape in shapes if shape.label is not None), None)
    if label is None:
        raise UserError(f"{where} has an object without a class")
    boxes = [shape for shape in shapes if shape.type.name == "bbox"]
    polygons = [polygon for shape in shapes for polygon in _polygons(shape)]
    masks = [np.asarray(shape.image) for shape in shapes if shape.type.name == "mask"]
    segmentation: Any = encoded(np.any(masks, axis=0)) if masks else polygons or None
    x, y, width, height = _around(boxes or shapes)
    ignored = any(shape.attributes.get("is_crowd") for shape in shapes)
    return Labelled(classes[label], (x, y, x + width, y + height), segmentation, ignored, where)


def _polygons(shape: Any) -> list[list[float]]:
    """Its outline, unless it is a box or a mask."""
    if shape.type.name in ("bbox", "mask"):
        return []
    points = shape.points if shape.type.name == "polygon" else shape.as_polygon()
    return [[float(value) for value in np.ravel(points)]]


def _around(shapes: Iterable[Any]) -> tuple[float, float, float, float]:
    corners = []
    for shape in shapes:
        x, y, width, height = map(float, shape.get_bbox())
        corners.append([x, y, x + width, y + height])
    x1, y1, x2, y2 = span(corners)
    return x1, y1, x2 - x1, y2 - y1
