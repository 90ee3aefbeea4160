"""Detection transformers on Detectron2, with or without Detectron2 installed.

Importing this package decides which `detectron2` the process uses (see `hdetr_d2._detectron2`), so
scripts import it first.
"""

from hdetr_d2 import _detectron2

from typing import Any

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__", "predict"]

_detectron2.select()


def __getattr__(name: str) -> Any:
    """Import what predicts when it is first asked for: it needs torch, this package does not."""
    if name not in ("Predictor", "predict"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hdetr_d2 import inference

    return getattr(inference, name)
