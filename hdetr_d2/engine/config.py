"""Config files and overrides, both as given by the user and as saved by a run."""

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import LazyConfig
from omegaconf import DictConfig, OmegaConf

from hdetr_d2.checkpoint import write_durably
from hdetr_d2.engine.overrides import apply_overrides
from hdetr_d2.engine.shipped import shipped_config
from hdetr_d2.errors import UserError

NODES = ("data", "dataloader", "model", "optimizer", "lr_multiplier", "train")

# Errors that reading a file and executing a config can raise.
CONFIG_ERRORS = (
    AttributeError,
    ImportError,
    LookupError,
    NameError,
    SyntaxError,
    TypeError,
    ValueError,
    yaml.YAMLError,
)


def load_config(path: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Loads the config file `path` (.py or .yaml) and applies `key=value` overrides in Hydra's
    grammar.

    If there is no such file, the shipped recipe of that name is used (see `shipped_configs`). An
    override must name an existing option; `+key=value` adds a new one. Values are converted to the
    option's type, see `apply_overrides`.

    Raises:
        UserError: the file does not exist or is not a training config, or an override is malformed,
            names an unknown option or has a value of the wrong type.
    """
    cfg = _load(path)
    lacking = [node for node in NODES if node not in cfg]
    if lacking:
        raise UserError(f"{path} is not a training config: it lacks {', '.join(lacking)}")
    _forget_derived(cfg)
    apply_overrides(cfg, overrides)
    return cfg


def _load(path: str) -> DictConfig:
    if not path:
        raise UserError("--config-file is missing: it names the config to train")
    if not os.path.isfile(path):
        path = _recipe(path)
    try:
        cfg = LazyConfig.load(path)
    except CONFIG_ERRORS as error:
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"cannot load config file {path}: {reason}") from error
    if not isinstance(cfg, DictConfig) or cfg._is_none():  # an empty YAML file is None
        raise UserError(f"{path} is not a training config: it has no options")
    return cfg


def _recipe(name: str) -> str:
    try:
        return shipped_config(name)
    except UserError as error:
        raise UserError(f"config file {name} does not exist, and {error}") from None


def _forget_derived(cfg: DictConfig) -> None:
    """Values that an earlier run derived and saved must follow the overrides of this run."""
    derived = cfg.train.get("iterations_per_epoch")
    if derived and cfg.train.max_iter == count_iterations(cfg.train.epochs, derived):
        cfg.train.max_iter = None
    cfg.train.iterations_per_epoch = None


def count_iterations(epochs: float, each: int) -> int:
    """The number of iterations in `epochs` of `each` iterations, rounded up."""
    return math.ceil(round(epochs * each, 6))  # 1.1 * 10 is slightly more than 11


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """`cfg` as nested dicts and lists that keep interpolations, with callables as dotted names.

    Raises:
        UserError: it contains an object other than strings, numbers, lists, mappings and
            `_target_`.
    """
    return _plain(OmegaConf.to_container(cfg, resolve=False), "")


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item, f"{path}.{key}".lstrip(".")) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}.{index}") for index, item in enumerate(value)]
    if value is None or isinstance(value, str | int | float):
        return value
    if path.endswith("_target_") and callable(value):
        return _public_name(value)
    raise UserError(
        f"config option {path} is a {type(value).__name__}: only strings, numbers, lists, mappings "
        "and _target_ nodes can be saved"
    )


def _public_name(target: Callable[..., Any]) -> str:
    """The shortest dotted name by which a callable can be imported, as LazyConfig.save writes
    it.
    """
    parts, name = target.__module__.split("."), target.__qualname__
    modules = [".".join(parts[: length + 1]) for length in range(len(parts))]
    for module in modules:
        try:
            found = attrgetter(name)(sys.modules.get(module))
        except AttributeError:
            continue
        if found == target:
            return f"{module}.{name}"
    return f"{target.__module__}.{name}"


def config_text(cfg: DictConfig) -> str:
    """`cfg` as YAML that any safe loader can read and `load_config` accepts."""
    return yaml.safe_dump(plain_config(cfg), sort_keys=False, allow_unicode=True, width=100)


def save_config(cfg: DictConfig, path: str | Path) -> None:
    """Writes `config_text` atomically."""
    text = config_text(cfg)
    write_durably(path, lambda file: file.write(text.encode()))
