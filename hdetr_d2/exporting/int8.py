"""Quantises backbone, neck and encoder of an ONNX file to 8-bit integers; decoder and heads, which
localise the boxes, stay in floating point.
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
    """Quantises the file in place, statically: weights per channel, activations by their range on
    `images`.

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
    """It logs each bias that stays floating-point, and recommends running an optimiser first."""
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
    """Returns images one by one to ONNX Runtime; None after the last."""

    def __init__(self, images: Sequence[Mapping[str, np.ndarray]]) -> None:
        self.left: Iterator[Mapping[str, np.ndarray]] = iter(images)

    def get_next(self) -> Mapping[str, np.ndarray] | None:
        return next(self.left, None)
