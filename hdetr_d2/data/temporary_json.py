"""COCO jsons that are made of other data, and end with this process."""

import atexit
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from functools import cache

from hdetr_d2.data.coco_json.reading import MADE_OF


def temporary_json(
    lists: Mapping[str, list[dict]], *, name: str, source: str | os.PathLike, called: str
) -> str:
    """Write a json in COCO's format.

    Args:
        lists: its images, annotations and categories.
        name: how its own name begins.
        source: what it is made of; the same name and source again take the same file.
        called: what sentences call it.

    Returns:
        Its path.
    """
    key = hashlib.sha256(os.path.abspath(source).encode()).hexdigest()[:16]
    path = os.path.join(_folder().name, f"{name}-{key}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"info": {MADE_OF: called}, **lists}, file)
    return path


@cache
def _folder() -> tempfile.TemporaryDirectory:
    folder = tempfile.TemporaryDirectory(prefix="hdetr_d2-")
    atexit.register(folder.cleanup)
    return folder
