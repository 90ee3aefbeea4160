"""Overrides: `key=value` in Hydra's grammar, with values converted to the option's type."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from types import NoneType
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hdetr_d2.engine.kinds import Kind, UnfitError, of_argument, of_value
from hdetr_d2.errors import UserError

TEXT, WHOLE = Kind.of(str, NoneType), Kind.of(int, NoneType)
NUMBER = Kind.of(float, NoneType)
# Types of options that are null by default and have no constructor annotation to infer a type from.
NULL_BY_DEFAULT = {
    **{
        f"data.{split}_{what}": TEXT
        for split in ("train", "val")
        for what in ("json", "images", "panoptic")
    },
    "data.channels": WHOLE,
    "data.class_names": Kind.of(NoneType) | Kind(items=Kind.of(str)),
    "data.folder": TEXT,
    "data.generate": Kind(frozenset({NoneType}), groups=True),
    "data.image_counts": Kind.of(NoneType) | Kind(items=Kind.of(int)),
    "data.num_classes": WHOLE,
    "data.pixel_range": WHOLE,
    "data.tile": WHOLE,
    "data.repeat_threshold": NUMBER,
    "data.shown_channels": Kind.of(NoneType) | Kind(items=Kind.of(int)),
    "data.split_seed": WHOLE,
    "data.val_share": NUMBER,
    "train.clip_grad_norm": NUMBER,
    "train.iterations_per_epoch": WHOLE,
    "train.max_iter": WHOLE,
    "train.reference_batch": WHOLE,
    "train.mlflow.name": TEXT,
    "train.wandb.name": TEXT,
    "train.wandb.project": TEXT,
}


def apply_overrides(cfg: DictConfig, overrides: Sequence[str]) -> None:
    """Applies `key=value` strings to `cfg`, in place.

    Values are converted to the option's type: `off` is false for a boolean, `2026_11_28` is kept as
    typed for a string.

    Raises:
        UserError: an override is malformed, names an unknown option or has a value of the wrong
            type.
    """
    known = set(_dotted(OmegaConf.to_container(cfg, resolve=False)))
    for text in overrides:
        override = _parse(text)
        if override.is_delete():
            raise UserError(f"the override {text!r} deletes an option: only null can be set")
        key, value, options = override.key_or_group, override.value(), Options(cfg)
        if override.is_add() or override.is_force_add():
            _require_group(cfg, key)
        else:
            _require_known(override, known, grouped=isinstance(options.at(key), Mapping))
            _require_structure(key, options.at(key), value)
        typed = override.get_value_string().strip()
        OmegaConf.update(cfg, key, options.read(key, value, typed), merge=True)


class Options:
    """The options of a config, and their types."""

    def __init__(self, cfg: DictConfig) -> None:
        self.cfg = cfg
        self.written = OmegaConf.to_container(cfg, resolve=False)

    def at(self, key: str) -> Any:
        """The raw value of an option, with interpolations; None if it does not exist."""
        found: Any = self.written
        for part in key.split("."):
            if isinstance(found, list) and part.isdigit() and int(part) < len(found):
                found = found[int(part)]
            else:
                found = found.get(part) if isinstance(found, Mapping) else None
        return found

    def read(self, key: str, value: Any, typed: str | None = None) -> Any:
        """Returns `value` converted to the option's type; in a group, each option is converted
        separately.

        Args:
            value: as parsed by Hydra's grammar.
            typed: the original text, if known.

        Raises:
            UserError: it has the wrong type.
        """
        return self._read(key, value, typed, self._target(key.rpartition(".")[0]))

    def kind(self, key: str, target: Any) -> Kind:
        """The kind of the option, which is passed to `target` as an argument unless that is
        None.
        """
        old = self.at(key)
        if isinstance(old, str) and "${" in old:
            old = self._meant(key)
        told = of_argument(target, key.rpartition(".")[2]) if target else NULL_BY_DEFAULT.get(key)
        if told is not None:
            return told | of_value(old)
        return of_value(old) | (NUMBER if type(old) is int else Kind.of(NoneType))

    def _read(self, key: str, value: Any, typed: str | None, target: Any) -> Any:
        kind = self.kind(key, target)
        if isinstance(value, Mapping) and (kind.groups or kind.anything):
            below = value.get("_target_", self._target(key))
            return {
                part: self._read(f"{key}.{part}", item, None, below) for part, item in value.items()
            }
        try:
            return kind.read(value, typed)
        except UnfitError as error:
            raise UserError(f"{key}={value if typed is None else typed} must be {error}") from error

    def _target(self, key: str) -> Any:
        node = self.at(key)
        return node.get("_target_") if isinstance(node, Mapping) else None

    def _meant(self, key: str) -> Any:
        """The resolved value of an option with an interpolation; None if it cannot be resolved
        yet.
        """
        try:
            return OmegaConf.select(self.cfg, key)
        except OmegaConfBaseException:
            return None


def _parse(text: str) -> Override:
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


def _require_group(cfg: DictConfig, key: str) -> None:
    """Raises UserError if `key` would replace a plain value on its path by a group of options."""
    parts = key.split(".")
    for end in range(1, len(parts)):
        node = OmegaConf.select(cfg, ".".join(parts[:end]))
        if node is not None and not OmegaConf.is_config(node):
            raise UserError(f"cannot add {key}: {'.'.join(parts[:end])} is no group of options")


def _require_known(override: Override, known: set[str], *, grouped: bool) -> None:
    """Raises UserError for an unknown option. The members of an existing group are checked too; a
    group that replaces null defines its own.
    """
    key, value = override.key_or_group, override.value()
    parts = _dotted(value) if isinstance(value, Mapping) and grouped else ()
    for name in (key, *(f"{key}.{part}" for part in parts)):
        if name not in known:
            raise UserError(
                f"unknown option {name}: did you mean {_nearest(name, known)}? "
                f"(+{override.input_line} adds it on purpose)"
            )


def _nearest(key: str, known: set[str]) -> str:
    """The known option most similar to `key`; options that end or begin with it are preferred."""
    last = key.rpartition(".")[2]
    alike = (
        [name for name in known if name.endswith(f".{key}")],
        [name for name in known if name.startswith(key)],
        [name for name in known if name.rpartition(".")[2].startswith(last)],
    )
    for names in alike:
        if names:
            return min(names, key=lambda name: (name.count("."), len(name), name))
    return difflib.get_close_matches(key, sorted(known), n=1, cutoff=0.0)[0]


def _dotted(content: Any, prefix: str = "") -> Iterator[str]:
    """Dotted paths of everything in nested dicts and lists, both inner nodes and leaves."""
    items = content.items() if isinstance(content, Mapping) else enumerate(content)
    for key, value in items:
        yield f"{prefix}{key}"
        if isinstance(value, Mapping | list | tuple):
            yield from _dotted(value, f"{prefix}{key}.")


def _require_structure(key: str, old: Any, value: Any) -> None:
    """Raises UserError unless a group of options stays a group, and a list a list."""
    if isinstance(value, str) and value.startswith("${"):
        return
    if isinstance(old, Mapping) and not isinstance(value, Mapping):
        if value is not None or "_target_" not in old:
            raise UserError(f"{key}={value}, but {key} is a group of options: {', '.join(old)}")
    elif isinstance(old, list) and not isinstance(value, list | None):
        raise UserError(f"{key}={value}, but {key} is a list: {key}=[{value}]")
