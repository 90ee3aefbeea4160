"""Reads detections from a json of COCO results; the only reader of such files."""

import math
import os
from collections.abc import Mapping
from typing import Any, Literal

from hdetr_d2.data.found_by_name import under_ids_of
from hdetr_d2.errors import UserError
from hdetr_d2.utils.json_file import read_json

Shape = Literal["bbox", "segmentation"]

FARTHEST = 1e9
"""Pixels; larger numbers are not positions in an image."""


def read_results(
    path: str | os.PathLike, *, shape: Shape = "bbox", truth: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The detections in `path`: mappings with `image_id` and `category_id` (numbers or strings), a
    `score` in [0, 1] and a shape; other keys are ignored.

    Args:
        shape: "bbox" (x, y, width, height in pixels) or "segmentation" (compressed run lengths).
        truth: of a COCO json. If given, a complete json written by `hdetr-d2 predict` is also
            accepted: its images and classes are matched by name.

    Raises:
        UserError: the file cannot be read, or an entry is invalid.
    """
    content = read_json(path)
    is_whole = isinstance(content, dict) and {"images", "annotations", "categories"} <= {*content}
    entries = content["annotations"] if is_whole and truth is not None else content
    if not isinstance(entries, list):
        raise UserError(f"{os.fspath(path)} is not a list of COCO results")
    for number, entry in enumerate(entries):
        if fault := _fault(entry, shape):
            raise UserError(f"{os.fspath(path)}: result {number} {fault}")
    if truth is None or not is_whole:
        return entries
    return under_ids_of(truth, content, os.fspath(path))


def _fault(entry: Any, shape: Shape) -> str | None:
    if not isinstance(entry, dict):
        return f"is {entry!r:.60}, which is no mapping"
    for key in ("image_id", "category_id", "score", shape):
        if key not in entry:
            return f"has no {key!r}"
    for key in ("image_id", "category_id"):
        if not (_is_number(entry[key]) or isinstance(entry[key], str)):
            return f"has {key} {entry[key]!r:.60}, which is neither a number nor a word"
    if not (_is_number(entry["score"]) and 0 <= entry["score"] <= 1):
        return f"has score {entry['score']!r:.60}, which is no number in [0, 1]"
    if shape == "bbox" and not _is_box(entry["bbox"]):
        return f"has bbox {entry['bbox']!r:.60}, which is not x, y, width, height in pixels"
    if shape == "segmentation" and not _are_run_lengths(entry["segmentation"]):
        return "has a segmentation that is not compressed run lengths: 'size' and 'counts'"
    return None


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _is_box(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 4:
        return False
    return all(_is_number(each) and abs(each) <= FARTHEST for each in value)


def _are_run_lengths(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("counts"), str):
        return False
    size = value.get("size")
    return isinstance(size, list) and len(size) == 2 and all(type(each) is int for each in size)
