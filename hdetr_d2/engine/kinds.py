"""The type of value that an option accepts: that of the argument it is passed to, otherwise that of
its default.
"""

import inspect
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from detectron2.utils.registry import locate

BOOLEANS = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}
NAMES = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    NoneType: "null",
}


class UnfitError(Exception):
    """A value has the wrong type; the message says what it must be."""


@dataclass(frozen=True)
class Kind:
    """The values that an option accepts; without any information, all values.

    scalars: some of bool, int, float (including whole numbers), str and NoneType. items: the kind
    of a list's items, if lists are accepted. groups: whether groups of options are accepted, such
    as nodes.
    """

    scalars: frozenset[type] = frozenset()
    items: "Kind | None" = None
    groups: bool = False

    @classmethod
    def of(cls, *types: type) -> "Kind":
        return cls(frozenset(types))

    def __or__(self, other: "Kind") -> "Kind":
        lists = [kind.items for kind in (self, other) if kind.items is not None]
        items = lists[0] | lists[-1] if lists else None
        return Kind(self.scalars | other.scalars, items, self.groups or other.groups)

    def __str__(self) -> str:
        told = self.scalars - {int} if float in self.scalars else self.scalars
        names = [name for kind, name in NAMES.items() if kind in told]
        names += ["a list"] if self.items else []
        return ", or ".join(names if told - {NoneType} else ["a group of options", *names])

    @property
    def anything(self) -> bool:
        """Whether nothing is known, except that None may be accepted."""
        return self.items is None and not self.groups and self.scalars <= {NoneType}

    def read(self, value: Any, typed: str | None = None) -> Any:
        """Converts a value to this kind.

        Args:
            value: as parsed by Hydra's grammar, which knows no types: it reads `2026_11_28` as a
                number, and `off` as a word.
            typed: the original text, if known.

        Raises:
            UnfitError: the value cannot be converted without loss.
        """
        if self.anything or str(value).startswith("${"):
            return value
        if isinstance(value, Mapping) and self.groups:
            return value
        if value is None and NoneType in self.scalars:
            return None
        if isinstance(value, list) and self.items is not None:
            return [self.items.read(item) for item in value]
        for kind, read in ((bool, _boolean), (float, _number), (int, _whole), (str, _text)):
            if kind in self.scalars and (found := read(value, typed)) is not None:
                return found
        raise UnfitError(str(self))


def _boolean(value: Any, typed: str | None) -> bool | None:
    return BOOLEANS.get(str(value).lower()) if isinstance(value, bool | str) else None


def _number(value: Any, typed: str | None) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, float) and math.isinf(value) and "inf" not in (typed or "").lower():
        return None  # for example 1e999
    return value


def _whole(value: Any, typed: str | None) -> int | None:
    number = _number(value, typed)
    return int(number) if number is not None and math.isfinite(number) and number % 1 == 0 else None


def _text(value: Any, typed: str | None) -> str | None:
    if isinstance(value, str):
        return value
    if not isinstance(value, int | float):
        return None
    if typed is None:
        raise UnfitError(f"text, which {value} is not without quotes: '{value}'")
    return typed


def of_annotation(annotation: Any) -> Kind:
    """The kind of a type annotation."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in NAMES:
        return Kind.of(annotation)
    if annotation in (Any, object):
        return Kind()
    if origin in (Union, UnionType):
        return _all_of(map(of_annotation, arguments))
    if origin is Literal:
        return Kind.of(*map(type, arguments))
    container = inspect.isclass(origin) and issubclass(origin, Iterable)
    if container and not issubclass(origin, Mapping):
        return Kind(items=_all_of(of_annotation(item) for item in arguments if item is not ...))
    return Kind(groups=True)


def of_value(value: Any) -> Kind:
    """The kind of a default value."""
    if isinstance(value, list | tuple):
        return Kind(items=_all_of(map(of_value, value)))
    if isinstance(value, Mapping):
        return Kind(groups=True)
    return Kind.of(type(value)) if type(value) in NAMES else Kind()


def of_argument(target: Any, name: str) -> Kind | None:
    """The kind of an argument of a node's `_target_`; None if it is unknown."""
    try:
        target = locate(target) if isinstance(target, str) else target
        annotation = inspect.signature(target, eval_str=True).parameters[name].annotation
    except (ImportError, KeyError, NameError, TypeError, ValueError):
        return None
    return None if annotation is inspect.Parameter.empty else of_annotation(annotation)


def _all_of(kinds: Iterable[Kind]) -> Kind:
    result = Kind()
    for kind in kinds:
        result = result | kind
    return result
