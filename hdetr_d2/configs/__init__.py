"""The configs of `configs/`, for a config that lies elsewhere: `from hdetr_d2.configs.common.train
import train`.

In an installed wheel they lie in this folder; in a clone they stand at the root, and this package
looks there too. What is imported is what a relative import between two configs gives: a fresh copy.
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
    """Makes a module whose every attribute is read from the config's file when it is asked for."""

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
            # Within its config a node finds what it points to: `${model.neck.out_channels}`.
            return LazyConfig.load(self.path)[name] if OmegaConf.is_config(node) else node
        except KeyError:
            raise AttributeError(f"the config {self.path} has no {name}") from None


class _Finder(MetaPathFinder):
    """Finds the files; the folders between them are found as ever."""

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
