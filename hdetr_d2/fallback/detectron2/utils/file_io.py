"""The path manager with which Detectron2's code opens all files."""

from typing import Any, NoReturn

from detectron2._subset import absent, explain
from iopath.common.file_io import HTTPURLHandler, PathHandler
from iopath.common.file_io import PathManager as PathManagerBase

__all__ = ["PathHandler", "PathManager"]

__getattr__ = absent(__name__)


class _ModelZooHandler(PathHandler):
    """Says that `detectron2://` requires Detectron2, instead of looking for such a folder."""

    def _get_supported_prefixes(self) -> list[str]:
        return ["detectron2://"]

    def _refuse(self, path: str, *args: Any, **kwargs: Any) -> NoReturn:
        raise ValueError(explain(f"the model zoo ({path})"))

    _open = _get_local_path = _exists = _isfile = _isdir = _ls = _refuse


PathManager = PathManagerBase()
PathManager.register_handler(HTTPURLHandler())
PathManager.register_handler(_ModelZooHandler())
