"""A config as Python-like text."""

from collections.abc import Iterator, Mapping
from typing import Any

from detectron2.utils.registry import dotted_path
from omegaconf import DictConfig, OmegaConf


def to_py(cfg: DictConfig, prefix: str) -> str:
    """One line per value, interpolations resolved: `cfg.model = torch.nn.Linear(in_features=1)`."""
    plain: Any = OmegaConf.to_container(cfg, resolve=True)
    return "\n".join(_lines(plain, prefix)) + "\n"


def _lines(mapping: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in sorted(mapping.items()):
        if isinstance(value, Mapping) and "_target_" not in value:
            yield from _lines(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key} = {_expression(value)}"


def _expression(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_expression, value)) + "]"
    if not isinstance(value, Mapping):
        return repr(value)
    if "_target_" not in value:
        return (
            "{"
            + ", ".join(f"{key!r}: {_expression(item)}" for key, item in sorted(value.items()))
            + "}"
        )
    target = value["_target_"]
    name = target if isinstance(target, str) else dotted_path(target)
    arguments = {key: item for key, item in sorted(value.items()) if key != "_target_"}
    return (
        f"{name}("
        + ", ".join(f"{key}={_expression(item)}" for key, item in arguments.items())
        + ")"
    )
