"""How a published model was trained, as config options."""

from collections.abc import Mapping
from typing import Any

from hdetr_d2.checkpoint.importers.arguments import Arguments


def training_options(
    arguments: Arguments, options: Mapping[str, tuple[str, Any]]
) -> dict[str, Any]:
    """What was stated; the rest is as the recipe has it.

    Args:
        options: an argument's name to the option here and the script's default; with "epochs" comes
            "lr_drop", after every so many of which the learning rate falls.
    """
    stated = {
        option: arguments[name] for name, (option, _) in options.items() if name in arguments.stated
    }
    if "epochs" in arguments.stated:
        drop, epochs = arguments["lr_drop"], arguments["epochs"]
        stated["lr_multiplier.milestones"] = list(range(drop, epochs, max(drop, 1)))
    return stated
