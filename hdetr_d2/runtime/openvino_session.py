"""OpenVINO models."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hdetr_d2.errors import UserError
from hdetr_d2.runtime.card import KEY, Card
from hdetr_d2.runtime.needed import needed
from hdetr_d2.runtime.session import Reopened


class OpenVINOSession(Reopened):
    """Runs an OpenVINO model; see `Session`. Computes in the card's precision: by default OpenVINO
    would replace float32 by bfloat16 wherever the processor supports it.

    Args:
        path: path of the .xml file, with the .bin file beside it.
        device: "auto", "cpu", or one of OpenVINO's own names ("GPU").
        threads: number of threads; None uses all cores.

    Raises:
        UserError: OpenVINO is not installed, cannot read the file, or does not support the device.
    """

    def __init__(self, path: str | Path, device: str = "auto", threads: int | None = None) -> None:
        super().__init__(path, device, threads)
        openvino = needed("openvino", path)
        core = openvino.Core()
        try:
            model = core.read_model(str(path))
        except RuntimeError as error:
            raise UserError(f"{path} cannot be read by OpenVINO: {_first_line(error)}") from error
        text = model.get_rt_info(KEY).value if model.has_rt_info(KEY) else None
        self.card = Card.from_json(text, path)
        hints: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _ARITHMETIC[self.card.precision]}
        if threads is not None:
            hints["INFERENCE_NUM_THREADS"] = threads
        name = "CPU" if device in ("auto", "cpu") else device.upper()
        try:
            self.model = core.compile_model(model, name, hints)
        except RuntimeError as error:
            raise UserError(
                f"device={device}: OpenVINO, which has {', '.join(core.available_devices)}, cannot "
                f"run {path}: {_first_line(error)}"
            ) from error

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = self.model(dict(inputs))
        return {name: outputs[name] for name in self.card.outputs}


# By precision of the card: float16 applies to weights only, and int8 is encoded in the graph.
_ARITHMETIC = {"float32": "f32", "float16": "f32", "int8": "f32", "bfloat16": "bf16"}


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
