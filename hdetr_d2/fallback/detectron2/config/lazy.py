"""LazyCall describes a call; LazyConfig loads, saves and edits files of such calls."""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import is_dataclass
from typing import Any

import cloudpickle
import yaml
from detectron2._subset import absent
from detectron2.config._python_file import as_config, run_config
from detectron2.config._to_py import to_py
from detectron2.utils.file_io import PathManager
from detectron2.utils.registry import dotted_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, ListConfig, OmegaConf

__all__ = ["LazyCall", "LazyConfig"]

__getattr__ = absent(__name__)

# The C version, where libyaml is available, is several times faster.
_SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Keys = None | str | Sequence[str]


class LazyCall:
    """`LazyCall(function)(key=value)` is the call as an editable node, to `instantiate` later.

    Raises:
        TypeError: the target is neither callable nor the description of a callable.
    """

    def __init__(self, target: Callable[..., Any] | str | Mapping[str, Any]) -> None:
        if not (callable(target) or isinstance(target, str | Mapping)):
            raise TypeError(f"LazyCall wants a callable or its name, not {target!r}")
        # OmegaConf would take a dataclass for the schema of a config.
        self._target = dotted_path(target) if is_dataclass(target) else target

    def __call__(self, **kwargs: Any) -> DictConfig:
        return DictConfig(kwargs | {"_target_": self._target}, flags={"allow_objects": True})


class LazyConfig:
    """Static functions on config files and their contents."""

    @staticmethod
    def load_rel(filename: str, keys: Keys = None) -> Any:
        """`load`, with `filename` relative to the file that calls this."""
        caller = sys._getframe(1).f_code.co_filename
        return LazyConfig.load(os.path.join(os.path.dirname(caller), filename), keys)

    @staticmethod
    def load(filename: str, keys: Keys = None) -> Any:
        """Load a .py or .yaml file.

        Args:
            filename: its path, absolute or relative to the working directory.
            keys: the name, or names, to return; by default a DictConfig of all that are configs and
                not private.

        Raises:
            ValueError: it has another file type.
            FileNotFoundError, SyntaxError: it is missing, or not Python.
        """
        content = _read(filename)
        if isinstance(keys, str):
            return as_config(content[keys])
        if keys is not None:
            return tuple(as_config(content[key]) for key in keys)
        return content if isinstance(content, DictConfig | ListConfig) else _configs_in(content)

    @staticmethod
    def save(cfg: Any, filename: str) -> None:
        """Writes `cfg` as YAML, with callables by name and unresolved interpolations.

        A config with objects that plain YAML cannot represent is also pickled, to `filename` +
        ".pkl".
        """
        cfg = deepcopy(cfg)
        for node in _dict_nodes(cfg):
            if callable(node.get("_target_")):
                with suppress(AttributeError):  # a functools.partial has no name
                    node._target_ = dotted_path(node._target_)
        text = yaml.dump(
            OmegaConf.to_container(cfg, resolve=False),
            default_flow_style=None,
            allow_unicode=True,
            width=9999,
        )
        with PathManager.open(filename, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            yaml.load(text, _SafeLoader)
        except yaml.YAMLError:
            logging.getLogger(__name__).warning(
                f"{filename} is for reading only, it has objects that are not plain YAML; "
                f"load {filename}.pkl instead"
            )
            with PathManager.open(f"{filename}.pkl", "wb") as file:
                cloudpickle.dump(cfg, file)

    @staticmethod
    def apply_overrides(cfg: DictConfig, overrides: Sequence[str]) -> DictConfig:
        """Applies `key=value` strings in Hydra's grammar to `cfg`, in place, and returns it.

        Raises:
            KeyError: a key passes through something that is not a config.
            NotImplementedError: an override deletes a key.
        """
        for override in OverridesParser.create().parse_overrides(list(overrides)):
            key = override.key_or_group
            if override.is_delete():
                raise NotImplementedError(f"{override.input_line}: a key cannot be deleted")
            _check_path(cfg, key)
            OmegaConf.update(cfg, key, override.value(), merge=True)
        return cfg

    @staticmethod
    def to_py(cfg: DictConfig, prefix: str = "cfg.") -> str:
        """`cfg` as lines of Python, for reading."""
        return to_py(cfg, prefix)


def _read(filename: str) -> Any:
    if filename.endswith(".py"):
        return run_config(filename)
    if not filename.endswith((".yaml", ".yml")):
        raise ValueError(f"{filename}: a config is a .py, .yaml or .yml file")
    with PathManager.open(filename, encoding="utf-8") as file:
        return OmegaConf.create(yaml.load(file, _SafeLoader), flags={"allow_objects": True})


def _configs_in(names: Mapping[str, Any]) -> DictConfig:
    configs = {
        name: as_config(value)
        for name, value in names.items()
        if isinstance(value, dict | DictConfig | ListConfig) and not name.startswith("_")
    }
    return DictConfig(configs, flags={"allow_objects": True})


def _dict_nodes(cfg: Any) -> Iterator[DictConfig]:
    """Every DictConfig in `cfg`, itself included; interpolations are not followed."""
    if not OmegaConf.is_config(cfg) or cfg._is_none():
        return
    if isinstance(cfg, DictConfig):
        yield cfg
    for key in cfg if isinstance(cfg, DictConfig) else range(len(cfg)):
        yield from _dict_nodes(cfg._get_node(key))


def _check_path(cfg: DictConfig, key: str) -> None:
    """OmegaConf.update would replace a plain value in the middle of the path by a new config."""
    parts = key.split(".")
    for depth in range(1, len(parts)):
        prefix = ".".join(parts[:depth])
        value = OmegaConf.select(cfg, prefix)
        if value is not None and not OmegaConf.is_config(value):
            raise KeyError(f"cannot set {key}: {prefix} is no config but {value!r}")
