"""Config files and overrides, as the user gives them and as a run saves them."""

import difflib
import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

import yaml
from detectron2.config import LazyConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from hdetr_d2.checkpoint import write_durably
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
    override must name an option that exists; `+key=value` adds one on purpose.

    Raises:
        UserError: no such file, a file that is no training config, or an override that is malformed
            or names an unknown option.
    """
    cfg = _load(path)
    lacking = [node for node in NODES if node not in cfg]
    if lacking:
        raise UserError(f"{path} is not a training config: it lacks {', '.join(lacking)}")
    _forget_derived(cfg)
    _check_overrides(cfg, overrides)
    try:
        return LazyConfig.apply_overrides(cfg, list(overrides))
    except (KeyError, NotImplementedError) as error:
        raise UserError(f"cannot apply the overrides: {error.args[0]}") from error


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


def _check_overrides(cfg: DictConfig, overrides: Sequence[str]) -> None:
    known = set(_dotted(OmegaConf.to_container(cfg, resolve=False), nodes=True))
    for text in overrides:
        override = _parse_override(text)
        if override.is_add() or override.is_force_add():
            continue
        key, value = override.key_or_group, override.value()
        # Of a group of options the parts are known; what takes the place of null brings its own.
        group = isinstance(value, Mapping) and OmegaConf.select(cfg, key) is not None
        below = _dotted(value, nodes=True) if group else ()
        for name in (key, *(f"{key}.{part}" for part in below)):
            if name not in known:
                raise UserError(
                    f"unknown option {name}: did you mean {_nearest(name, known)}? "
                    f"(+{text.lstrip('+~')} adds it on purpose)"
                )
        if not override.is_delete():
            _check_kind(cfg, key, value)


def _check_kind(cfg: DictConfig, key: str, value: Any) -> None:
    """A group of options stays a group, a list a list, and a number does not become a word."""
    old: Any = OmegaConf.to_container(cfg, resolve=False)
    for part in key.split("."):
        old = old[int(part)] if isinstance(old, list) else old[part]
    if isinstance(value, str) and value.startswith("${"):
        return
    if isinstance(old, Mapping) and not isinstance(value, Mapping):
        if value is not None or "_target_" not in old:
            raise UserError(f"{key}={value}, but {key} is a group of options: {', '.join(old)}")
    elif isinstance(old, list) and not isinstance(value, list | None):
        raise UserError(f"{key}={value}, but {key} is a list: {key}=[{value}]")
    elif isinstance(old, int | float) and not isinstance(old, bool) and isinstance(value, str):
        raise UserError(f"{key}={value} must be a number")


def _parse_override(text: str) -> Override:
    if text.startswith("--"):
        raise UserError(f"{text} must come before the overrides (key=value)")
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{text!r} is not an override (key=value, odd characters quoted): {reason}"
        ) from error
    if override.is_sweep_override():
        raise UserError(f"the override {text!r} has several values: a list stands in brackets")
    return override


def _nearest(key: str, known: set[str]) -> str:
    """The known option most like `key`; one that ends with it before all others."""
    same_end = sorted((name for name in known if name.endswith(f".{key}")), key=len)
    return (same_end or difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.0))[0]


def _dotted(content: Any, prefix: str = "", *, nodes: bool = False) -> Iterator[str]:
    """Dotted paths of the leaves of nested dicts and lists, with `nodes` of all below the root."""
    items = content.items() if isinstance(content, Mapping) else enumerate(content)
    for key, value in items:
        path = f"{prefix}{key}"
        nested = isinstance(value, Mapping | list | tuple) and len(value) > 0
        if nodes or not nested:
            yield path
        if nested:
            yield from _dotted(value, f"{path}.", nodes=nodes)


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
