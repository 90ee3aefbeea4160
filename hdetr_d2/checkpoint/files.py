"""Atomic file writes, and checkpoints that contain data but no code."""

import contextlib
import logging
import os
import re
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import torch
from detectron2.utils.file_io import PathManager
from torch import Tensor

from hdetr_d2.checkpoint.folder import read_folder
from hdetr_d2.checkpoint.numpy_scalars import READERS
from hdetr_d2.checkpoint.pickled_arrays import read_pickle
from hdetr_d2.errors import UserError
from hdetr_d2.utils.git_lfs import why_unreadable

logger = logging.getLogger(__name__)

SCALARS = (bool, int, float, str, bytes, type(None))


def write_durably(path: str | Path, write: Callable[[IO[bytes]], object]) -> None:
    """Writes `path` atomically by calling `write`; a kill at any moment leaves either the complete
    old or the complete new content.

    Raises:
        UserError: the folder is not writable, or the disk is full; or raised by `write`, in which
            case nothing of the new content remains.
    """
    path = Path(path)
    # Always the same name, so that leftovers of a killed run are overwritten by the next one.
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except UserError:  # about the content to write
        _remove(temporary)
        raise
    except (OSError, RuntimeError) as error:
        # A full disk interrupts torch's writer, which then raises an error of its own.
        cause = error if isinstance(error, OSError) else error.__context__
        if not isinstance(cause, OSError):
            raise
        _remove(temporary)
        raise UserError(f"cannot write {path}: {cause.strerror or cause}") from error


def _remove(path: Path) -> None:
    """Frees its disk space, if possible."""
    with contextlib.suppress(OSError):
        path.unlink()


def _sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a power failure, where the system supports it."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_plain(value: Any, where: str) -> None:
    """Raises TypeError, naming the place, if `value` contains anything other than tensors and plain
    Python.

    Types must match exactly: a NumPy float is also a `float`, but safe loaders cannot read it.
    """
    if type(value) in (dict, OrderedDict):
        for key, item in value.items():
            require_plain(key, f"a key of {where}")
            require_plain(item, f"{where}[{key!r}]")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):
            require_plain(item, f"{where}[{index}]")
    elif type(value) not in SCALARS and not isinstance(value, Tensor):
        raise TypeError(
            f"{where} is a {type(value).__name__}: only tensors and plain Python are saved"
        )


def read_checkpoint(
    path: str | Path, *, only_look: bool = False, also: Sequence[type] = ()
) -> dict[str, Any]:
    """The content of a checkpoint on the CPU, with at least `model`: a mapping of names to tensors.

    Also accepted are files that have it under `state_dict` or contain nothing else, pickles of
    NumPy arrays (Detectron2's and Caffe2's `.pkl`), and the folder of a shared model. Prefixes
    added by DistributedDataParallel or torch.compile are removed, and NumPy numbers converted to
    Python's. No code in the file is run.

    Args:
        only_look: leave the tensors in the file (memory-mapped), to read the metadata only.
        also: classes of objects that the file may contain; their attributes are set without running
            code.

    Raises:
        UserError: the file does not exist, is truncated, or contains something else.
    """
    content = read_folder(path) if os.path.isdir(path) else _load(path, only_look, also)
    if isinstance(content, dict) and not isinstance(content.get("metadata", {}), dict):
        del content["metadata"]  # of another program
    if isinstance(content, dict) and "model" not in content:
        weights = content.get("state_dict")
        content = {**content, "model": weights} if isinstance(weights, dict) else {"model": content}
    if not isinstance(content, dict) or not is_state_dict(content["model"]):
        raise UserError(f"{path} holds no model weights")
    return {**content, "model": without_wrappers(content["model"])}


def _load(path: str | Path, only_look: bool, also: Sequence[type]) -> Any:
    """The complete content of a file."""
    try:
        local = PathManager.get_local_path(str(path))
        if not os.path.isfile(local):
            raise UserError(f"checkpoint {path} does not exist")
        if local.endswith(".pkl") and not zipfile.is_zipfile(local):
            return read_pickle(local)
        with torch.serialization.safe_globals([*also, *READERS]):
            return torch.load(local, map_location="cpu", weights_only=True, mmap=only_look or None)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot read checkpoint {path}: {error.strerror or error}") from error
    except Exception as error:  # every layer of the format raises errors of its own
        reason = why_unreadable(local, _reason(error))
        raise UserError(f"{path} is not a readable checkpoint: {reason}") from error


def without_wrappers(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights under the model's own names, without the `module.` that DistributedDataParallel
    prepends to all of them, and the `_orig_mod.` of torch.compile.
    """
    names = {name: name.replace("_orig_mod.", "") for name in weights}
    while all(name.startswith("module.") for name in names.values()):
        names = {name: shorter.removeprefix("module.") for name, shorter in names.items()}
    if any(name != shorter for name, shorter in names.items()):
        logger.info("Names of weights are read without module. and _orig_mod.")
    return {shorter: weights[name] for name, shorter in names.items()}


def _reason(error: Exception) -> str:
    """What is wrong with a file, as far as torch can tell."""
    if foreign := re.search(r"GLOBAL (\S+) (?:was not an allowed|whose module)", str(error)):
        return (
            f"it holds a {foreign[1]}, and only tensors and plain Python are read; if you trust "
            "the file, save its weights anew: c = torch.load(FILE, weights_only=False); "
            'torch.save({"model": c["model"]}, NEW)'
        )
    return (
        "it is truncated, or no PyTorch file, or holds objects other than tensors and plain Python"
    )


def is_state_dict(value: Any) -> bool:
    """Whether it maps names to tensors, and is not empty."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(v, Tensor) for v in value.values())
    )
