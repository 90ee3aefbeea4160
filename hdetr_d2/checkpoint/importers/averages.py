"""Files that contain a moving average in addition to the weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from hdetr_d2.checkpoint.files import is_state_dict, without_wrappers
from hdetr_d2.errors import UserError


def choose_weights(
    content: Mapping[str, Any], wanted: str | None, source: str | Path
) -> dict[str, Tensor]:
    """The weights under the key `wanted` of a file's content; None for the only ones.

    Raises:
        UserError: the key does not exist, or there is also an average and no key is given.
    """
    found = {"model": content["model"]}
    for name, value in content.items():
        if "ema" in str(name).lower().split("_") and isinstance(value, dict):
            weights = value.get("module", value)
            if is_state_dict(weights):
                found[name] = without_wrappers(weights)
    names = ", ".join(found)
    if wanted is None and len(found) > 1:
        raise UserError(
            f"{source} holds several weights ({names}): --weights {list(found)[-1]} takes the "
            "moving average, --weights model those that were trained"
        )
    if wanted is not None and wanted not in found:
        raise UserError(f"--weights {wanted}: {source} holds {names}")
    return found[wanted or "model"]
