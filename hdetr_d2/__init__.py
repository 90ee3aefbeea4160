"""Detection transformers on Detectron2, with or without Detectron2 installed.

Importing this package determines which `detectron2` the process uses (see `hdetr_d2._detectron2`),
so scripts import it first.
"""

from hdetr_d2 import _detectron2

from typing import Any

from hdetr_d2.utils.own_modules import own_module

__version__ = "0.1.0"
__all__ = [
    "Detector",
    "Predictor",
    "__version__",
    "export",
    "from_pretrained",
    "predict",
    "predict_video",
    "watch",
]
_ROOMS = {
    "Detector": "hdetr_d2.detector",
    "Predictor": "hdetr_d2.runtime",
    "export": "hdetr_d2.exporting",
    "from_pretrained": "hdetr_d2.model_zoo",
    "predict": "hdetr_d2.inference",
    "predict_video": "hdetr_d2.inference.video",
    "watch": "hdetr_d2.inference.video",
}

_detectron2.select()


def __getattr__(name: str) -> Any:
    """Imports names on first access: most of them need torch, this package does not.

    Raises:
        UserError: a dependency of the name is not installed.
    """
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(own_module(_ROOMS[name], f"{__name__}.{name}"), name)
