"""Config files and overrides, as the user gives them and as a run saves them."""

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

# What reading a file, and running the few statements of a config, can raise.
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
    """The config file `path` (.py or .yaml) with `key=value` overrides in Hydra's grammar.

    Where there is no such file, the recipe of that name (see `shipped_configs`) is taken. An
    override must name an option that exists; `+key=value` adds one on purpose. Its value becomes
    what the option takes, see `apply_overrides`.

    Raises:
        UserError: no such file, a file that is no training config, or an override that is
            malformed, names an unknown option or has a value of another kind.
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
    if not isinstance(cfg, DictConfig) or cfg._is_none():  # an empty YAML file is a None
        raise UserError(f"{path} is not a training config: it has no options")
    return cfg


def _recipe(name: str) -> str:
    try:
        return shipped_config(name)
    except UserError as error:
        raise UserError(f"config file {name} does not exist, and {error}") from None


def _forget_derived(cfg: DictConfig) -> None:
    """What an earlier run derived and saved must follow the overrides of this one."""
    derived = cfg.train.get("iterations_per_epoch")
    if derived and cfg.train.max_iter == count_iterations(cfg.train.epochs, derived):
        cfg.train.max_iter = None
    cfg.train.iterations_per_epoch = None


def count_iterations(epochs: float, each: int) -> int:
    """How many iterations are in `epochs` of `each` iterations; a begun one counts."""
    return math.ceil(round(epochs * each, 6))  # 1.1 * 10 is a little more than 11


def plain_config(cfg: DictConfig) -> dict[str, Any]:
    """`cfg` as nested dicts and lists, interpolations kept, callables by their dotted names.

    Raises:
        UserError: it holds an object that is none of string, number, list, mapping and `_target_`.
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
    """The shortest dotted name by which a callable is imported, as LazyConfig.save has it."""
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
    """`cfg` as YAML that any safe loader reads and `load_config` takes."""
    return yaml.safe_dump(plain_config(cfg), sort_keys=False, allow_unicode=True, width=100)


def save_config(cfg: DictConfig, path: str | Path) -> None:
    """Write `config_text`, whole or not at all."""
    text = config_text(cfg)
    write_durably(path, lambda file: file.write(text.encode()))
