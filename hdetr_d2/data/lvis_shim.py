"""The `lvis` package of PyPI, made to run on today's numpy and without OpenCV.

Release 0.5.3 (2020, the last one) has three faults that hinder its use:

- its evaluation writes `np.float`, a name that numpy dropped in 1.24: the evaluation module, and it
  alone, gets a view of numpy that still has the name;
- its `__init__` imports a drawing module that imports `cv2`, which nothing else needs: where cv2
  cannot be imported (missing, or without its system libraries), an empty module stands in for it
  while `lvis` is imported, and is taken away again;
- its `__init__` configures the root logger: handlers and level are put back as they were.
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
    """Import `lvis` so that `LVIS`, `LVISResults` and `LVISEval` work; may be called again.

    Outside the modules of `lvis` nothing is changed. Its `LVISVis` does need cv2.

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
    """numpy, and in it the name that `lvis` uses for Python's float."""

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
        # Others who probe for cv2 must go on finding what they found before.
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
