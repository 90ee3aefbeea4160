"""The formats of exported files: how each is written, and what it requires."""

import io
import warnings
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.export import ExportedProgram

from hdetr_d2.errors import UserError
from hdetr_d2.exporting.float16 import halve_weights
from hdetr_d2.exporting.int8 import quantize
from hdetr_d2.exporting.needed import require
from hdetr_d2.exporting.program import INPUTS
from hdetr_d2.runtime.card import KEY, Card

_OPSET = 18  # GridSample needs 16; ONNX Runtime rejects what the optimiser writes for higher ones


@dataclass(frozen=True)
class Format:
    """
    ending: of the written path. precisions: that it supports. needs: packages. write: called with
    the program, the card, calibration images (inputs of the graph) and the path.
    """

    ending: str
    precisions: tuple[str, ...]
    needs: tuple[str, ...]
    write: Callable[[ExportedProgram, Card, list[dict], Path], None]


def _write_program(program: ExportedProgram, card: Card, images: list[dict], path: Path) -> None:
    torch.export.save(program, path, extra_files={KEY: card.to_json()})


def _write_onnx(program: ExportedProgram, card: Card, images: list[dict], path: Path) -> None:
    import onnx

    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # it prints its progress
        warnings.simplefilter("ignore")
        written = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=_OPSET,
            optimize=False,
            input_names=list(INPUTS),
            output_names=list(card.outputs),
        )
    assert written is not None
    written.save(path)
    model = onnx.load(str(path))
    if card.precision == "float16":
        halve_weights(model)
    onnx.helper.set_model_props(model, {KEY: card.to_json()})
    onnx.save(model, str(path))
    if card.precision == "int8":
        quantize(path, images)


def _write_openvino(program: ExportedProgram, card: Card, images: list[dict], path: Path) -> None:
    import openvino

    path.mkdir()
    graph = path / "graph.onnx"
    # Float weights are converted to the card's precision when the model is saved or run.
    exact = card if card.precision == "int8" else replace(card, precision="float32")
    _write_onnx(program, exact, images, graph)
    model = openvino.convert_model(str(graph))
    graph.unlink()
    model.set_rt_info(card.to_json(), KEY)
    half = card.precision == "float16"
    openvino.save_model(model, str(path / "model.xml"), compress_to_fp16=half)


_ONNX = ("onnx", "onnxscript", "onnxruntime")
FORMATS = {
    "onnx": Format(".onnx", ("float32", "float16", "int8"), _ONNX, _write_onnx),
    "openvino": Format(
        "_openvino",
        ("float32", "float16", "bfloat16", "int8"),
        (*_ONNX, "openvino"),
        _write_openvino,
    ),
    "torch": Format(".pt2", ("float32",), (), _write_program),
}


def format_of(name: str, precision: str) -> Format:
    """Raises UserError for an unknown format, an unsupported precision, or a package that is not
    installed.
    """
    if name not in FORMATS:
        raise UserError(f"format={name!r} must be one of {', '.join(FORMATS)}")
    found = FORMATS[name]
    if precision not in found.precisions:
        raise UserError(
            f"precision={precision!r}: the format {name} has {', '.join(found.precisions)}"
        )
    for package in found.needs:
        require(package)
    return found
