"""ONNX files, run by ONNX Runtime."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hdetr_d2.errors import UserError
from hdetr_d2.runtime.card import KEY, Card
from hdetr_d2.runtime.needed import needed
from hdetr_d2.runtime.session import Reopened

_ERRORS = 3  # errors only: warnings concern its own optimiser
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxSession(Reopened):
    """Runs an ONNX file; see `Session`.

    Args:
        path: path of a .onnx file, with any external data beside it.
        device: "auto", "cpu", "cuda" or "cuda:1".
        threads: number of threads; None uses all cores.

    Raises:
        UserError: ONNX Runtime is not installed, cannot read the file, or does not support the
            device.
    """

    def __init__(self, path: str | Path, device: str = "auto", threads: int | None = None) -> None:
        super().__init__(path, device, threads)
        runtime = needed("onnxruntime", path)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = _ERRORS
        providers = _providers(runtime, device)
        try:
            self.session = runtime.InferenceSession(str(path), options, providers=providers)
        # ONNX Runtime's errors have no other common base.
        except Exception as error:
            reason = " ".join(str(error).split())
            raise UserError(f"{path} cannot be read by ONNX Runtime: {reason}") from error
        text = self.session.get_modelmeta().custom_metadata_map.get(KEY)
        self.card = Card.from_json(text, path)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self.card.outputs, self.session.run(None, dict(inputs)), strict=True))


def _providers(runtime: object, device: str) -> list:
    """The execution providers for a device; raises UserError if this ONNX Runtime does not support
    it.
    """
    kind, _, index = device.partition(":")
    there = runtime.get_available_providers()  # type: ignore[attr-defined]
    if kind == "auto":
        return [provider for provider in reversed(_PROVIDERS.values()) if provider in there]
    if _PROVIDERS.get(kind) not in there:
        raise UserError(f"device={device}: this ONNX Runtime has {', '.join(there)}")
    options = {"device_id": int(index)} if index else {}
    return [(_PROVIDERS[kind], options)]
