"""Information from the names of published weights."""

import re
from collections.abc import Mapping

from torch import Tensor

from hdetr_d2.errors import UserError


def needed(weights: Mapping[str, Tensor], name: str) -> Tensor:
    """The weight `name`.

    Raises:
        UserError: it does not exist.
    """
    if name not in weights:
        raise UserError(f"the file has no {name}, which every model of its kind has")
    return weights[name]


def count_layers(weights: Mapping[str, Tensor], stack: str) -> int:
    """The number of layers in the transformer's "encoder" or "decoder"."""
    pattern = re.compile(rf"transformer\.{stack}\.layers\.(\d+)\.")
    return len({match[1] for name in weights if (match := pattern.match(name))})
