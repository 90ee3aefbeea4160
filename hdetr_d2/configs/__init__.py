"""The configs of `configs/`, for configs located elsewhere:
`from hdetr_d2.configs.common.train import train`.

In an installed wheel they are in this folder; in a clone they are at the root, where this package
looks too. An import returns a fresh copy, like a relative import between two configs.
"""

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

_CLONE = Path(__file__).resolve().parents[2]
# As for the projects: only a clone has a setup.py beside the package.
if (_CLONE / "setup.py").is_file() and (_CLONE / "configs").is_dir():
    __path__.append(str(_CLONE / "configs"))


class _Nodes(Loader):
    """Creates a module whose attributes are read from the config file on access."""

    def __init__(self, path: str) -> None:
        self.path = path

    def exec_module(self, module: ModuleType) -> None:
        module.__file__ = self.path
        module.__getattr__ = self.node  # type: ignore[method-assign]

    def node(self, name: str) -> Any:
        from detectron2.config import LazyConfig
        from omegaconf import OmegaConf

        try:
            if name.startswith("__"):
                raise KeyError(name)
            node = LazyConfig.load(self.path, name)
            # Within its config a node can resolve its references, such as
            # `${model.neck.out_channels}`.
            return LazyConfig.load(self.path)[name] if OmegaConf.is_config(node) else node
        except KeyError:
            raise AttributeError(f"the config {self.path} has no {name}") from None


class _Finder(MetaPathFinder):
    """Finds the files; folders are found by the regular import system."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(f"{__name__}."):
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is None or spec.loader is None or spec.origin is None:
            return spec
        return ModuleSpec(fullname, _Nodes(spec.origin), origin=spec.origin)


sys.meta_path.insert(0, _Finder())
