"""The config files that come with the package."""

from pathlib import Path

from hdetr_d2.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_config(name: str) -> str:
    """The path of a file below `configs/`, in a clone or in an installed package.

    Raises:
        UserError: there is no such file.
    """
    for folder in (_PACKAGE, _PACKAGE.parent):
        path = folder / "configs" / name
        if path.is_file():
            return str(path)
    raise UserError(f"there is no config {name} among those of hdetr_d2")
