"""Backbone, neck and encoder of an ONNX file in 8-bit integers; decoder and heads stay in floats,
where the places of boxes are made.
"""

import ast
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

_PARTS = ("model.backbone", "model.neck", "model.encoder")
_OPERATORS = ["Conv", "MatMul", "Gemm"]
_SCOPES = "pkg.torch.onnx.name_scopes"


def quantize(path: Path, images: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Quantises the file in place, statically: weights by channel, activations by the range that
    they have in `images`.

    Args:
        images: inputs of the graph, at least one.
    """
    import onnx
    from onnxruntime import quantization

    model = onnx.load(str(path))
    chosen = [node.name for node in model.graph.node if _is_chosen(node)]
    with _silence():
        quantization.quantize_static(
            str(path),
            str(path),
            _Images(images),
            quant_format=quantization.QuantFormat.QDQ,
            op_types_to_quantize=_OPERATORS,
            nodes_to_quantize=chosen,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )


@contextmanager
def _silence() -> Iterator[None]:
    """Of each bias that stays a float, and of its advice to run an optimiser first."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _is_chosen(node: Any) -> bool:
    scopes = {entry.key: entry.value for entry in node.metadata_props}.get(_SCOPES, "[]")
    return node.op_type in _OPERATORS and any(part in _PARTS for part in ast.literal_eval(scopes))


class _Images:
    """What ONNX Runtime asks for images one by one; None after the last."""

    def __init__(self, images: Sequence[Mapping[str, np.ndarray]]) -> None:
        self.left: Iterator[Mapping[str, np.ndarray]] = iter(images)

    def get_next(self) -> Mapping[str, np.ndarray] | None:
        return next(self.left, None)
