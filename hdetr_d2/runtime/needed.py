"""Libraries that a file asks for, and that may not be installed."""

from importlib import import_module
from typing import Any

from hdetr_d2.errors import UserError


def needed(package: str, path: object, bringer: str = "") -> Any:
    """The module `package`.

    Args:
        path: of the file that asks for it, or what else does.
        bringer: what pip shall install; the package itself by default.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        if error.name != package:
            raise
        raise UserError(f"{path} needs {package}: pip install {bringer or package}") from None
