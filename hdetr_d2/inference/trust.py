"""Checkpoints may come from anywhere, and their configs name what to call: only parts of models,
and definitions in packages that the user names, are allowed.
"""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from types import FunctionType
from typing import Any

from detectron2.utils.registry import locate

from hdetr_d2.errors import UserError

# Packages that contain parts of models and input transforms, and nothing that affects the machine.
TRUSTED = (
    "hdetr_d2.data",
    "hdetr_d2.layers",
    "hdetr_d2.losses",
    "hdetr_d2.matching",
    "hdetr_d2.modeling",
    "hdetr_d2.pixels.resize_rule",
    "hdetr_d2.projects",
    "hdetr_d2.schemes",
    "hdetr_d2.teachers",
    "detectron2.layers",
    "detectron2.modeling",
    "torch.nn",
    "torchvision.transforms.v2",
)
# Functions in these packages that create parts of a model; static methods of classes may do so too.
MAKERS = ("detectron2.layers.batch_norm.get_norm",)
# Help of the option `--trust`, shared by all commands that take a checkpoint.
HELP = "a package of your own that the model has parts of; may be given several times"


def targets(node: Any) -> Iterator[str]:
    """Yields every `_target_` in a config node, at any depth."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from targets(value)


def require_trusted(node: Any, source: str, trust: str | Sequence[str] = ()) -> None:
    """Checks a config node before it is instantiated.

    Args:
        node: plain mappings and lists.
        source: where the node comes from, for error messages.
        trust: additional packages of the user's own, whose code they would run anyway.

    Raises:
        UserError: a `_target_` that is neither a class, static method or maker function of a
            trusted package, nor defined in one of the user's packages.
    """
    own = (trust,) if isinstance(trust, str) else tuple(trust)
    packages = (*TRUSTED, *own)
    for target in targets(node):
        if not isinstance(target, str) or not _is_below(target, packages):
            raise UserError(
                f"the config in {source} asks for {target!r}, which is not part of a model: only "
                f"parts of {', '.join(packages)} are built from a checkpoint{_hint(target)}"
            )
        # The name alone proves nothing: `hdetr_d2.modeling.os.system` also has a trusted prefix.
        if not _makes_parts(target, packages, own):
            raise UserError(
                f"the config in {source} asks for {target!r}, which is no class that can be "
                "imported here from a trusted package, nor a static method of one (a package of "
                "your own must be installed, or in a folder of PYTHONPATH)"
            )


def _hint(target: Any) -> str:
    """How to proceed if the class is the user's own; never suggests trusting code of others."""
    package = target.partition(".")[0] if isinstance(target, str) else ""
    foreign = {*sys.stdlib_module_names, *(name.partition(".")[0] for name in TRUSTED)}
    if not package.isidentifier() or package in foreign:
        return ""
    return f"; if {package} is your own package: predict(..., trust={package!r}), --trust {package}"


def _is_below(name: str, packages: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _makes_parts(target: str, packages: Sequence[str], own: Sequence[str]) -> bool:
    try:
        found = locate(target)
    except Exception:  # importing a wrong name can fail in any way
        return False
    if not _is_below(getattr(found, "__module__", None) or "", packages):
        return False
    if isinstance(found, type) or _is_static(target, packages):
        return True
    if not isinstance(found, FunctionType):
        return False
    # Functions of the user's own packages are allowed: they would be run anyway.
    return f"{found.__module__}.{found.__qualname__}" in MAKERS or _is_below(found.__module__, own)


def _is_static(target: str, packages: Sequence[str]) -> bool:
    """Whether the target is a static method of a class, such as Detectron2's
    `ResNet.make_default_stages`.
    """
    path, _, name = target.rpartition(".")
    owner = locate(path)
    if not isinstance(owner, type) or not _is_below(owner.__module__, packages):
        return False
    return isinstance(inspect.getattr_static(owner, name), staticmethod)
