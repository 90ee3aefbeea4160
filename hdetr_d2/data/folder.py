"""`data.folder`: replaces the other options that name data by the contents of a folder."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from hdetr_d2.data.formats.finding import Ways, folder_files
from hdetr_d2.data.opening import SOURCE
from hdetr_d2.errors import UserError


def data_of_folder(data: Mapping, *, for_training: bool) -> tuple[Mapping, dict[str, Any]]:
    """The data of `data["folder"]` or, without one, those that are given.

    Returns:
        `data` with the jsons and images of the folder; and the options of the config that this
        changes.

    Raises:
        UserError: the folder cannot be read, or lacks a split.
    """
    folder = data.get("folder")
    if folder is None:
        return data, {}
    if not isinstance(folder, str):
        raise UserError(f"data.folder={folder} must be the path of a folder")
    needed = ("train", "val") if for_training else ("val",)
    files = folder_files(folder, Ways.of(data), needed=needed)
    keys = [f"{split}_{what}" for split in ("train", "val") for what in ("json", "images")]
    panoptic = {"train_panoptic": None, "val_panoptic": None}
    replaced: dict[str, Any] = {"generate": None, **dict.fromkeys(keys), **panoptic}
    for split in ("train", "val"):
        if f"{split}_json" in files:
            name = _free_name(data[f"{split}_name"], split, folder, files[f"{split}_json"])
            replaced[f"{split}_name"] = name
    return {**data, **replaced, **files}, replaced


def _free_name(name: str, split: str, folder: str, json_file: str) -> str:
    """The name in the config, unless other data have it, as COCO has in its recipes."""
    path = Path(folder).expanduser().resolve()
    for candidate in (name, f"{path.name}_{split}"):
        if candidate not in DatasetCatalog.list() or _source(candidate) == json_file:
            return candidate
    return f"{path.name}_{split} ({path})"


def _source(name: str) -> str | None:
    metadata = MetadataCatalog.get(name)
    found = metadata.get(SOURCE) or metadata.get("json_file")
    return None if found is None else os.fspath(found)
