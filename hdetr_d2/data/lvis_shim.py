"""Makes the `lvis` package from PyPI work with current numpy and without OpenCV.

Release 0.5.3 (2020, the latest) has three problems:

- its evaluation uses `np.float`, which numpy removed in 1.24: only the evaluation module gets a
  view of numpy that still has the name;
- its `__init__` imports a drawing module that imports `cv2`, which nothing else needs: if cv2
  cannot be imported (missing, or without its system libraries), an empty module replaces it while
  `lvis` is imported, and is removed afterwards;
- its `__init__` configures the root logger: handlers and level are restored.
"""

import contextlib
import logging
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy

from hdetr_d2.errors import UserError


def import_lvis() -> ModuleType:
    """Imports `lvis` so that `LVIS`, `LVISResults` and `LVISEval` work; may be called again.

    Nothing is changed outside of the `lvis` modules. Its `LVISVis` does need cv2.

    Raises:
        UserError: the package is not installed.
    """
    try:
        with _cv2_or_empty_module(), _root_logger_as_it_was():
            import lvis
            import lvis.eval
    except ImportError as error:
        raise UserError(
            f"LVIS data need the lvis package (pip install lvis), but: {error}."
        ) from error
    if not hasattr(lvis.eval.np, "float"):
        lvis.eval.np = _NumpyWithFloat("numpy")
    return lvis


class _NumpyWithFloat(ModuleType):
    """numpy with the name that `lvis` uses for Python's float."""

    float = float

    def __getattr__(self, name: str) -> Any:
        return getattr(numpy, name)


@contextlib.contextmanager
def _cv2_or_empty_module() -> Iterator[None]:
    try:
        import cv2  # noqa: F401
    except ImportError:
        pass
    else:
        yield
        return
    before = {name: sys.modules[name] for name in ["cv2"] if name in sys.modules}
    sys.modules["cv2"] = ModuleType("cv2")
    try:
        yield
    finally:
        # Other code that probes for cv2 must get the same result as before.
        del sys.modules["cv2"]
        sys.modules.update(before)


@contextlib.contextmanager
def _root_logger_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
