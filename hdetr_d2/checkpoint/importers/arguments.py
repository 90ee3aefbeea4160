"""The arguments of a training script: stated ones and defaults."""

import difflib
from collections.abc import Mapping
from typing import Any

from hdetr_d2.errors import UserError


class Arguments:
    """The arguments of a published training script, falling back to its defaults.

    assumed: arguments that were used and had to be taken from the defaults.
    """

    def __init__(
        self, defaults: Mapping[str, Any], stored: Mapping[str, Any], given: Mapping[str, Any]
    ) -> None:
        """
        Args:
            defaults: every argument that matters for an import; None for those that can be derived
                from the weights.
            stored: those of the checkpoint; unknown ones are ignored.
            given: those of the user, which take precedence.

        Raises:
            UserError: a given argument does not exist, or an argument has another type than its
                default.
        """
        for name in given:
            if name not in defaults:
                near = difflib.get_close_matches(name, sorted(defaults), n=1, cutoff=0.0)
                raise UserError(f"--arg {name}: no such argument; did you mean {near[0]}?")
        self.defaults = dict(defaults)
        self.stated = {k: v for k, v in stored.items() if k in defaults} | dict(given)
        for name, value in self.stated.items():
            _check_kind(name, value, defaults[name])
        self.assumed: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self.stated:
            self.assumed[name] = self.defaults[name]
        return self.stated.get(name, self.defaults[name])

    def __contains__(self, name: str) -> bool:
        """Whether the script has the argument at all."""
        return name in self.defaults

    def told(self, name: str, value: Any) -> Any:
        """Returns `value`, which the weights imply for the argument `name`.

        Raises:
            UserError: the argument was stated, and contradicts it.
        """
        stated = self.stated.get(name, value)
        if stated != value:
            raise UserError(f"{name}={stated} contradicts the weights, which say {value}")
        return value


def _check_kind(name: str, value: Any, default: Any) -> None:
    """Values become config options, where a mapping could be a call: a file must not smuggle one
    in.
    """
    whole_for_broken = type(value) is int and type(default) is float
    if default is not None and type(value) is not type(default) and not whole_for_broken:
        raise UserError(f"the argument {name}={value} must be of the kind of {default}")
