"""The files of a Hugging Face transformers model."""

import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

from hdetr_d2.errors import UserError

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
PROCESSOR = "preprocessor_config.json"


def read_folder(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any], dict[str, Any]]:
    """The weights, the config, and the image processor's settings, empty if there is no file for
    them.

    Args:
        path: a folder with `config.json` and `model.safetensors`, or the latter file.

    Raises:
        UserError: a file is missing, or contains something else.
    """
    folder = Path(path)
    if folder.name == WEIGHTS:
        folder = folder.parent
    if not folder.is_dir():
        raise UserError(f"{path} is neither a folder with {CONFIG} and {WEIGHTS} nor the latter")
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise UserError(f"{folder} has no {name}")
    try:
        weights = safetensors.torch.load_file(folder / WEIGHTS)
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{folder / WEIGHTS} is not a readable checkpoint: {error}") from error
    processor = folder / PROCESSOR
    return weights, _read(folder / CONFIG), _read(processor) if processor.is_file() else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} does not contain a JSON object")
    return content
