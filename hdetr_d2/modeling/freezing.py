"""Freezing of parameters."""

import re
from collections.abc import Sequence

from torch import nn


def freeze(model: nn.Module, patterns: Sequence[str]) -> None:
    """Freezes the parameters whose names match any of `patterns`, regular expressions.

    Raises:
        ValueError: a pattern matches no parameter.
    """
    for pattern in patterns:
        named = [p for name, p in model.named_parameters() if re.search(pattern, name)]
        if not named:
            raise ValueError(f"model.freeze: no parameter of the model matches {pattern!r}.")
        for parameter in named:
            parameter.requires_grad_(False)
