"""Conversion between names and objects."""

from importlib import import_module
from typing import Any

from detectron2._subset import absent
from fvcore.common.registry import Registry

__all__ = ["Registry", "locate"]

__getattr__ = absent(__name__)


def locate(name: str) -> Any:
    """The object with the dotted path `name`, such as "torch.nn.Linear".

    Raises:
        ImportError: a part of the path cannot be found.
    """
    parts = name.split(".")
    if not all(parts):
        raise ImportError(f"{name!r} is not a dotted path")
    found: Any = import_module(parts[0])
    for depth, part in enumerate(parts[1:], start=2):
        try:
            found = getattr(found, part)
        except AttributeError:  # a submodule that has not been imported, or that its package hides
            found = import_module(".".join(parts[:depth]))
    return found


def dotted_path(target: Any) -> str:
    """The shortest path from which `locate` returns `target`, such as "torch.nn.Linear".

    Raises:
        AttributeError: `target` has no module or no qualified name.
    """
    modules = target.__module__.split(".")
    for depth in range(1, len(modules)):
        candidate = ".".join([*modules[:depth], target.__qualname__])
        try:
            if locate(candidate) is target:
                return candidate
        except ImportError:
            continue
    return f"{target.__module__}.{target.__qualname__}"
