"""The recipes shipped with the package: at the root of a clone, or within the installed package."""

import difflib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from hdetr_d2.errors import UserError


def shipped_configs() -> dict[str, Path]:
    """Maps each recipe's path relative to `configs/` to its file, followed by the recipes of the
    projects by their paths starting with `projects/`. The parts in `common/` are not recipes.
    """
    root = shipped_root()
    own = {path.relative_to(root / "configs"): path for path in _configs(root)}
    of_projects = {
        path.relative_to(root): path
        for project in sorted((root / "projects").glob("*"))
        for path in _configs(project)
    }
    return {name.as_posix(): path for name, path in (own | of_projects).items()}


def shipped_config(name: str, *, besides: Iterable[str] = ()) -> str:
    """The path of a recipe's file.

    Args:
        name: as in `shipped_configs`, with or without a leading `configs/`.
        besides: other names that the user may have meant.

    Raises:
        UserError: there is no such recipe; the message suggests the most similar ones.
    """
    known, wanted = shipped_configs(), name.removeprefix("configs/")
    if wanted not in known:
        near = difflib.get_close_matches(wanted, [*besides, *known], n=3, cutoff=0.5)
        hint = f"; the nearest: {', '.join(near)}" if near else ""
        raise UserError(f"there is no config {name} among those of hdetr_d2{hint}")
    return str(known[wanted])


def shipped_root() -> Path:
    """The folder that contains `configs/` and `projects/`."""
    package = Path(str(resources.files("hdetr_d2")))
    return package.parent if (package.parent / "setup.py").is_file() else package


def _configs(folder: Path) -> list[Path]:
    """The recipes in `folder`/configs, sorted."""
    configs = folder / "configs"
    no_recipes = {"common", "__init__.py"}  # the latter exists in an installed package
    found = sorted(configs.rglob("*.py"))
    return [path for path in found if path.relative_to(configs).parts[0] not in no_recipes]
