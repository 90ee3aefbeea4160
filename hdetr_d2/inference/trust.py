"""A checkpoint may come from anywhere, and its config says what to call: only parts of models, and
classes of packages that the user names.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detectron2.utils.registry import locate

from hdetr_d2.errors import UserError

# Packages that hold parts of models and input transforms, and nothing that acts on the machine.
TRUSTED = (
    "hdetr_d2.data",
    "hdetr_d2.layers",
    "hdetr_d2.losses",
    "hdetr_d2.matching",
    "hdetr_d2.modeling",
    "hdetr_d2.projects",
    "hdetr_d2.schemes",
    "detectron2.layers",
    "detectron2.modeling",
    "torch.nn",
    "torchvision.transforms.v2",
)
# Of the option `--trust` of every command that takes a checkpoint.
HELP = "a package of your own that the model has classes of; may be given several times"


def targets(node: Any) -> Iterator[str]:
    """Every `_target_` below a config node, at any depth."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            yield node["_target_"]
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, Sequence) and not isinstance(node, str):
        for value in node:
            yield from targets(value)


def require_trusted(node: Any, source: str, trust: str | Sequence[str] = ()) -> None:
    """Check a config node before it is instantiated.

    Args:
        node: plain mappings and lists.
        source: where it comes from, for the message.
        trust: more packages, whose code the user would run himself.

    Raises:
        UserError: a `_target_` that is not a class of a trusted package.
    """
    packages = (*TRUSTED, *([trust] if isinstance(trust, str) else trust))
    for target in targets(node):
        if not isinstance(target, str) or not _is_below(target, packages):
            raise UserError(
                f"the config in {source} asks for {target!r}, which is no part of a model: only "
                f"classes of {', '.join(packages)} are built from a checkpoint{_hint(target)}"
            )
        # The name alone proves nothing: `hdetr_d2.modeling.os.system` begins well, too.
        if not _is_class_of(target, packages):
            raise UserError(
                f"the config in {source} asks for {target!r}, which is no class that can be "
                "imported here from a trusted package (one of your own must be installed, or in a "
                "folder of PYTHONPATH)"
            )


def _hint(target: Any) -> str:
    """How to go on with a class of one's own; nothing that would open what is not the user's."""
    package = target.partition(".")[0] if isinstance(target, str) else ""
    foreign = {*sys.stdlib_module_names, *(name.partition(".")[0] for name in TRUSTED)}
    if not package.isidentifier() or package in foreign:
        return ""
    return f"; if {package} is your own package: predict(..., trust={package!r}), --trust {package}"


def _is_below(name: str, packages: Sequence[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _is_class_of(target: str, packages: Sequence[str]) -> bool:
    try:
        found = locate(target)
    except Exception:  # importing a wrong name can fail in any way
        return False
    return isinstance(found, type) and _is_below(found.__module__, packages)
