"""Optional libraries that some files require."""

from importlib import import_module
from typing import Any

from hdetr_d2.errors import UserError


def needed(package: str, path: object, bringer: str = "") -> Any:
    """Imports the module `package`.

    Args:
        path: path of the file that requires it, or another description.
        bringer: what to install with pip; by default the package itself.

    Raises:
        UserError: the module is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        if error.name != package:
            raise
        raise UserError(f"{path} needs {package}: pip install {bringer or package}") from None
