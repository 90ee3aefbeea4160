"""Runs a config written in Python; its relative imports refer to other config files by path."""

import builtins
import os
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from detectron2.utils.file_io import PathManager
from omegaconf import DictConfig


def as_config(value: Any) -> Any:
    """A dict as a DictConfig that may contain any object; everything else unchanged."""
    return DictConfig(value, flags={"allow_objects": True}) if isinstance(value, dict) else value


def run_config(filename: str) -> dict[str, Any]:
    """The global names of the config file after running it.

    Raises:
        FileNotFoundError: there is no such file.
        SyntaxError: it is not Python; the text names the file.
    """
    with PathManager.open(filename, encoding="utf-8") as file:
        source = file.read()
    try:
        code = compile(source, filename, "exec")
    except SyntaxError as error:
        raise SyntaxError(f"{filename}, line {error.lineno}: {error.msg}") from error
    # A frame takes `__import__` from its own builtins, so other modules are not affected.
    names = {
        "__file__": filename,
        "__name__": f"config file {os.path.basename(filename)}",
        "__builtins__": {**vars(builtins), "__import__": _import},
    }
    exec(code, names)
    return names


def _import(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: Mapping[str, Any] | None = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> Any:
    """The import statement of a config file: relative imports run another config file, every time
    anew.
    """
    if level == 0:
        return builtins.__import__(name, globals, locals, fromlist or (), level)
    assert globals is not None
    path = _relative_file(globals["__file__"], name, level)
    names = run_config(path)
    for wanted in fromlist or ():
        if wanted not in names:
            raise ImportError(f"{globals['__file__']}: the config {path} has no {wanted!r}")
    return SimpleNamespace(**{wanted: as_config(names[wanted]) for wanted in fromlist or ()})


def _relative_file(importer: str, name: str, level: int) -> str:
    """The file that `from <level dots><name> import ...` refers to in the config file
    `importer`.
    """
    folder = os.path.dirname(importer)
    for _ in range(level - 1):
        folder = os.path.join(folder, os.pardir)
    path = os.path.normpath(os.path.join(folder, *name.split("."))) + ".py"
    if name and PathManager.isfile(path):
        return path
    if not name or PathManager.isdir(path.removesuffix(".py")):
        raise ImportError(f"{importer}: a config imports from config files, not from a folder")
    raise ImportError(f"{importer}: the config {path} does not exist")
