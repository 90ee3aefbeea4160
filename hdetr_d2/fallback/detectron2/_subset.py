"""Errors for parts of Detectron2 that this stand-in does not have.

A module whose missing names should be explained contains::

    from detectron2._subset import absent

    __getattr__ = absent(__name__)

`import detectron2.something` and `from detectron2.something import Name` then raise an ImportError
that says how to install Detectron2, and `hasattr(detectron2.something, "Name")` is False.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from typing import NoReturn

INSTALL = "pip install --no-build-isolation git+https://github.com/facebookresearch/detectron2"


def explain(name: str) -> str:
    """The sentence about the missing dotted `name`."""
    return (
        f"{name} is not in the small stand-in for Detectron2 that hdetr_d2 brings along; "
        f"it needs Detectron2 itself: {INSTALL}"
    )


def absent(module: str) -> Callable[[str], NoReturn]:
    """A module `__getattr__` for `module` that explains what is missing."""
    # `from leaf import Name` asks the finder below only if the leaf has a path, even an empty one.
    sys.modules[module].__dict__.setdefault("__path__", [])

    def missing(name: str) -> NoReturn:
        # Not an ImportError: hasattr, and pickle when it looks up functions, expect an
        # AttributeError.
        raise AttributeError(explain(f"{module}.{name}"), name=name, obj=sys.modules[module])

    return missing


class _Explainer(MetaPathFinder):
    """The last finder, asked only for modules that no other finder knows."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: object = None) -> None:
        if fullname.startswith("detectron2."):
            raise ImportError(explain(fullname), name=fullname)


def install() -> None:
    """Makes imports of missing submodules raise an explanation."""
    sys.meta_path.append(_Explainer())
