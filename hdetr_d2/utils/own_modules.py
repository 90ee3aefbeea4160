"""Modules of this package that need its dependencies. Exported files need none of these, and may be
used where only numpy, Pillow and a runtime are installed.
"""

import sys
from importlib import import_module
from types import ModuleType

from hdetr_d2.errors import UserError


def own_module(name: str, what: object) -> ModuleType:
    """Imports a module of this package.

    Args:
        what: what requires it, for the message.

    Raises:
        UserError: a dependency is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        lacking = (error.name or "").partition(".")[0]
        if not lacking or lacking in sys.modules:
            raise  # a module of a package that is there: no matter of the installation
        raise UserError(
            f"{what} needs {lacking}, which is not installed: install hdetr_d2 with its "
            "dependencies (pip without --no-deps)"
        ) from None
