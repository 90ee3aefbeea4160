"""COCO jsons made from other data, deleted when this process ends."""

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
    """Writes a json in COCO's format.

    Args:
        lists: its images, annotations and categories.
        name: beginning of the file name.
        source: what it is made of; the same name and source reuse the same file.
        called: how messages refer to it.

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
