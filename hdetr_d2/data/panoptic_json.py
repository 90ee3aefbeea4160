"""Reads COCO's panoptic json, and checks it before anything relies on it."""

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping

from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)

# Required keys of each list's entries.
_KEYS = {
    "images": ("id", "file_name", "height", "width"),
    "annotations": ("image_id", "segments_info", "file_name"),
    "categories": ("id", "name", "isthing"),
}
_A = {"images": "an image", "categories": "a category", "annotations": "an annotation"}


def read_panoptic_json(path: str) -> dict[str, list[dict]]:
    """Its images, categories and annotations. Images without an annotation are logged.

    Raises:
        UserError: it cannot be read, has another format, or contradicts itself.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read as a panoptic json: {error}") from None
    if not isinstance(content, dict) or any(not isinstance(content.get(k), list) for k in _KEYS):
        raise UserError(f"{path} is not a panoptic json: it lacks one of {', '.join(_KEYS)}")
    for section, keys in _KEYS.items():
        for entry in content[section]:
            lacking = [key for key in keys if not isinstance(entry, dict) or key not in entry]
            if lacking:
                raise UserError(
                    f"{path} is not a panoptic json: {_A[section]} has no {lacking[0]!r}"
                )
    if fault := next(_faults(content), None):
        raise UserError(f"{path}: {fault}")
    _tell_left_out(path, content)
    return content


def _faults(content: Mapping[str, list[dict]]) -> Iterator[str]:
    for section, key in (("images", "id"), ("categories", "id"), ("annotations", "image_id")):
        for id_, count in Counter(entry[key] for entry in content[section]).items():
            if count > 1:
                yield f"{count} {section} have the {key} {id_}"
    images = {image["id"] for image in content["images"]}
    categories = {category["id"] for category in content["categories"]}
    for annotation in content["annotations"]:
        where = f"the annotation of image {annotation['image_id']}"
        if annotation["image_id"] not in images:
            yield f"{where}: there is no such image"
        segments = annotation["segments_info"]
        if fault := next(_segment_faults(segments, categories), None):
            yield f"{where}: {fault}"


def _segment_faults(segments: list[dict], categories: set[int]) -> Iterator[str]:
    for segment in segments:
        if not isinstance(segment.get("id"), int) or "category_id" not in segment:
            yield f"the segment {segment} needs an 'id' that is a whole number, and a 'category_id'"
            return
        if segment["id"] == 0:
            yield "a segment has the id 0, which is that of pixels without a segment"
        if segment["category_id"] not in categories:
            yield f"segment {segment['id']} has the unknown category id {segment['category_id']}"
    for id_, count in Counter(segment["id"] for segment in segments).items():
        if count > 1:
            yield f"{count} segments have the id {id_}"


def _tell_left_out(path: str, content: Mapping[str, list[dict]]) -> None:
    annotated = {annotation["image_id"] for annotation in content["annotations"]}
    if others := [image["id"] for image in content["images"] if image["id"] not in annotated]:
        few = ", ".join([*map(str, others[:3]), *(["..."] if len(others) > 3 else [])])
        logger.warning(
            f"{path}: {len(others)} of {len(content['images'])} images have no annotation, and are "
            f"neither trained nor evaluated on: {few}"
        )
