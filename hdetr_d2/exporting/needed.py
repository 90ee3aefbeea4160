"""Packages of the extra `export`."""

from importlib import import_module

from hdetr_d2.errors import UserError


def require(package: str) -> None:
    """Raises UserError unless the package is installed."""
    try:
        import_module(package)
    except ImportError as error:
        if error.name != package:
            raise
        raise UserError(f"exporting needs {package}: pip install 'hdetr_d2[export]'") from None
