"""A model as a folder to share: safetensors, a config and the class names, all in formats that any
program can read.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import yaml
from torch import Tensor

from hdetr_d2.errors import UserError
from hdetr_d2.utils.checkpoint_folder import refuse_checkpoints
from hdetr_d2.utils.git_lfs import why_unreadable

WEIGHTS = "model.safetensors"
CONFIG = "config.yaml"
CLASSES = "class_names.json"
FILES = (WEIGHTS, CONFIG, CLASSES)


def write_folder(
    folder: Path, weights: Mapping[str, Tensor], config: str, class_names: Sequence[str]
) -> None:
    """Writes the files of a model into an existing folder.

    Args:
        weights: by name, with any shapes, dtypes and devices.
        config: YAML.
        class_names: by class index.

    Raises:
        UserError: the weights cannot be written.
        OSError: another file cannot be written.
    """
    # Copies: the format allows neither views nor two names of one tensor.
    alone = {name: value.detach().cpu().contiguous().clone() for name, value in weights.items()}
    try:
        safetensors.torch.save_file(alone, folder / WEIGHTS, {"format": "pt"})
    except safetensors.SafetensorError as error:
        raise UserError(f"cannot write {folder / WEIGHTS}: {error}") from error
    (folder / CONFIG).write_text(config, encoding="utf-8")
    (folder / WEIGHTS).chmod((folder / CONFIG).stat().st_mode)  # readable not only by its owner
    names = json.dumps(list(class_names), ensure_ascii=False, indent=0)
    (folder / CLASSES).write_text(f"{names}\n", encoding="utf-8")


def read_folder(folder: str | Path) -> dict[str, Any]:
    """Reads what `write_folder` has written, in the form of a checkpoint. No code in it is run.

    Raises:
        UserError: a file is missing, truncated or contains something else.
    """
    folder = Path(folder)
    require_files(folder)
    metadata = {"config": _config(folder / CONFIG), "class_names": _names(folder / CLASSES)}
    return {"model": _weights(folder / WEIGHTS), "metadata": metadata}


def require_files(folder: Path) -> None:
    """Raises UserError, with their names, if files of a model are missing from the folder."""
    if lacking := [name for name in FILES if not (folder / name).is_file()]:
        refuse_checkpoints(folder)
        raise UserError(
            f"{folder} is not the folder of a shared model: it lacks "
            f"{', '.join(lacking)} (pickles are not read in their place)"
        )


def _weights(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # its header may contain anything
        reason = why_unreadable(path, "it is cut, or holds something else")
        raise UserError(f"{path} is not a readable safetensors file: {reason} ({error})") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error


def _config(path: Path) -> str:
    """Aliases are refused: a few lines of them could expand to fill any memory."""
    text = _text(path)
    try:
        if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(text)):
            raise UserError(f"{path} has aliases (*name), and a saved config has none")
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read: {reason}") from error
    return text


def _names(path: Path) -> list[str]:
    try:
        names = json.loads(_text(path))
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f"{path} is not a JSON list of class names")
    return names
