"""Turns the description of a call into its result."""

import logging
from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from detectron2._subset import absent
from detectron2.utils.registry import locate
from omegaconf import DictConfig, ListConfig, OmegaConf

__all__ = ["instantiate"]

__getattr__ = absent(__name__)


def instantiate(cfg: Any) -> Any:
    """Calls `_target_` of `cfg` (a callable, its dotted path, or a node) with the other keys.

    Arguments that are calls themselves, or lists of them, are evaluated first. A mapping without
    `_target_`, and anything that is not a node, is returned unchanged.
    """
    if isinstance(cfg, ListConfig):
        return ListConfig([instantiate(item) for item in cfg], flags={"allow_objects": True})
    if isinstance(cfg, list):
        return [instantiate(item) for item in cfg]
    if isinstance(cfg, DictConfig) and is_dataclass(OmegaConf.get_type(cfg)):
        return OmegaConf.to_object(cfg)
    if isinstance(cfg, Mapping) and "_target_" in cfg:
        arguments = {key: instantiate(value) for key, value in cfg.items()}
        return _call(arguments.pop("_target_"), arguments)
    return cfg


def _call(target: Any, arguments: dict[str, Any]) -> Any:
    function = locate(target) if isinstance(target, str) else target
    assert callable(function), f"_target_ {target!r} is not callable"
    try:
        return function(**arguments)
    except TypeError:
        # The traceback only shows the callee; the node is what the user can find in the config.
        logging.getLogger(__name__).error(f"cannot call {target} with {sorted(arguments)}")
        raise
