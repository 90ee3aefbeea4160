"""What the extra `export` brings."""

from importlib import import_module
from typing import Any

from hdetr_d2.errors import UserError


def needed_to_export(package: str) -> Any:
    """The module `package`.

    Raises:
        UserError: it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != package.partition(".")[0]:
            raise
        raise UserError(f"exporting needs {error.name}: pip install 'hdetr_d2[export]'") from None
