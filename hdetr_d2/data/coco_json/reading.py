"""Reads a COCO json; an invalid file is rejected here, in one sentence."""

import os

from hdetr_d2.data.coco_json.content import CocoJson
from hdetr_d2.errors import UserError
from hdetr_d2.utils.json_file import read_json

SECTIONS = ("images", "annotations", "categories")
# Annotation ids are only names.
MADE_OF = "made_of"
IDS = {"images": ("id",), "annotations": ("image_id", "category_id"), "categories": ("id",)}


def read_coco_json(path: str | os.PathLike, *, annotated: bool = True) -> CocoJson:
    """Reads a COCO json.

    Args:
        annotated: whether it must have `annotations`; those of a test set may be secret.

    Raises:
        UserError: the file is missing, is not JSON (line and column are given), lacks a list, or
            has ids that cannot be compared.
    """
    path, content = os.fspath(path), read_json(path)
    if isinstance(content, dict) and not annotated:
        content.setdefault("annotations", [])
    for section in SECTIONS:
        entries = content.get(section) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{path} is not in COCO format: it has no list {section!r} of objects")
        for key in IDS[section]:
            _check_ids(path, section, key, [entry[key] for entry in entries if key in entry])
    images, annotations, categories = (content[section] for section in SECTIONS)
    made_of = _made_of(content.get("info"))
    return CocoJson(path, images, annotations, categories, made_of=made_of)


def _made_of(info: object) -> str:
    """The source recorded in temporary files of this project."""
    return str(info.get(MADE_OF, "")) if isinstance(info, dict) else ""


def _check_ids(path: str, section: str, key: str, values: list) -> None:
    kind = str if values and isinstance(values[0], str) else int | float
    if odd := [value for value in values if not isinstance(value, kind)]:
        raise UserError(
            f"{path} is not in COCO format: {key!r} of {section!r} must be all numbers or all "
            f"words, and {odd[0]!r} is none of these or not like the others"
        )
