"""Detections matched to the ids of another json by names."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)

Entries = Sequence[Mapping[str, Any]]


def under_ids_of(
    truth: Mapping[str, Any], found: Mapping[str, Any], source: str
) -> list[dict[str, Any]]:
    """Converts the annotations of a complete COCO json, as written by `hdetr-d2 predict`, to
    results for another json: classes are matched by name, and images if the file name in `truth`
    equals the other one or its end.

    Args:
        truth, found: contents with `images` and `categories`.
        source: of `found`, for messages.

    Raises:
        UserError: an image or class is missing from `truth`, or ambiguous there; or `found` has
            another form.
    """
    try:
        images, classes = _images(truth, found, source), _classes(truth, found, source)
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{source} is not a COCO json: in its images or categories {error}"
        ) from None
    try:
        return [
            {
                **entry,
                "image_id": images[entry["image_id"]],
                "category_id": classes[entry["category_id"]],
            }
            for entry in found["annotations"]
        ]
    except KeyError as error:
        raise UserError(f"{source}: there is no image or category {error} in it") from None


def _images(truth: Mapping[str, Any], found: Mapping[str, Any], source: str) -> dict[Any, Any]:
    """Maps ids in `found` to ids in `truth`."""
    names = _unique(truth["images"], "file_name", "the json with the objects")
    known = {PurePath(name).parts: number for name, number in names.items()}
    same = {image["id"]: _same(image["file_name"], known, source) for image in found["images"]}
    twice = [number for number, count in Counter(same.values()).items() if count > 1]
    if twice:
        raise UserError(f"{source}: image {twice[0]} of the json with the objects is in it twice")
    if left := len(known) - len(same):
        logger.warning(
            "%d of %d images are not in %s: their objects count as missed", left, len(known), source
        )
    return same


def _same(name: str, known: Mapping[tuple[str, ...], Any], source: str) -> Any:
    parts = PurePath(name).parts
    for start in range(len(parts)):
        if parts[start:] in known:
            return known[parts[start:]]
    raise UserError(f"{source}: {name} is no image of the json with the objects")


def _classes(truth: Mapping[str, Any], found: Mapping[str, Any], source: str) -> dict[Any, Any]:
    known = _unique(truth["categories"], "name", "the json with the objects")
    for category in found["categories"]:
        if category["name"] not in known:
            raise UserError(
                f"{source}: {category['name']} is no class of the json with the objects"
            )
    return {category["id"]: known[category["name"]] for category in found["categories"]}


def _unique(entries: Entries, key: str, whose: str) -> dict[str, Any]:
    """Ids by the value of a key."""
    known: dict[str, Any] = {}
    for entry in entries:
        if known.setdefault(entry[key], entry["id"]) != entry["id"]:
            raise UserError(f"{whose} has {key} {entry[key]} twice")
    return known
