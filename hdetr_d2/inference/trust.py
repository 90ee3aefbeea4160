"""A checkpoint may come from anywhere, and its config says what to call: only parts of models."""

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


def require_trusted(node: Any, source: str) -> None:
    """Check a config node before it is instantiated.

    Args:
        node: plain mappings and lists.
        source: where it comes from, for the message.

    Raises:
        UserError: a `_target_` that is not a class of a trusted package.
    """
    for target in targets(node):
        # The name alone proves nothing: `hdetr_d2.modeling.os.system` begins well, too.
        if not (isinstance(target, str) and _is_trusted(target) and _is_class_of_trusted(target)):
            raise UserError(
                f"the config in {source} asks for {target!r}, which is no part of a model: "
                f"only classes of {', '.join(TRUSTED)} are built from a checkpoint"
            )


def _is_trusted(name: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in TRUSTED)


def _is_class_of_trusted(target: str) -> bool:
    try:
        found = locate(target)
    except Exception:  # importing a wrong name can fail in any way
        return False
    return isinstance(found, type) and _is_trusted(found.__module__)
