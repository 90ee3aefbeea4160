"""Files of Detectron2 and Caffe2 that are pickles of NumPy arrays."""

import pickle
from pathlib import Path
from typing import Any

import torch

from hdetr_d2.errors import UserError


class _Unpickler(pickle.Unpickler):
    """Reads plain Python and NumPy arrays; no other objects are created, and no code is run."""

    _KNOWN = frozenset(
        [(f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")]
        + [("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")]
        + [("collections", "OrderedDict")]
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._KNOWN:
            raise pickle.UnpicklingError(f"it holds a {module}.{name}, which is not read")
        return super().find_class(module, name)


def read_pickle(path: str | Path) -> dict[str, Any]:
    """The content of a `.pkl` of Detectron2 or Caffe2, with arrays as tensors under `model`.

    Raises:
        UserError: it cannot be read as plain arrays.
    """
    try:
        with open(path, "rb") as file:
            content = _Unpickler(file, encoding="latin1").load()
        content = content if "model" in content else {"model": content.get("blobs", content)}
        weights = {
            name: torch.as_tensor(value)
            for name, value in content["model"].items()
            if not name.endswith("_momentum")
        }
    except Exception as error:  # every layer of the format raises errors of its own
        raise UserError(f"{path} is not a readable checkpoint: {error}") from error
    return {**content, "model": weights}
