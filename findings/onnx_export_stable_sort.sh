#!/bin/bash
# torch 2.14.1 with onnx 1.23.2 and onnxscript 0.7.2: torch.onnx.export has no form of a sort that says whether it is stable.
# `x.sort(dim=1)` is exported; the same with `stable=False`, with `stable=True`, and `x.argsort(dim=1, stable=True)` end in
# ConversionError: "No ONNX function found for <OpOverload(op='aten.sort', overload='stable')>".
#
# Expected: sorting is exported. `stable=False` asks for what is the default, and the model computes the same numbers.
# Why: with the argument, PyTorch calls another overload of the operator, and the exporter knows the plain one alone.
# Who meets it: detectors, whose detections are sorted by score with equal ones kept in order.
# What helps: leave the argument out, or `topk` of all elements.
#
# Output seen:
#   sort: exported
#   sort, stable=False: ConversionError
#   sort, stable=True: ConversionError
#   argsort, stable=True: ConversionError
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 numpy==2.4.6
cd "$folder"
venv/bin/python - 2>"$folder/log" <<'PY'
import contextlib
import io
import sys

import torch

SORTS = {
    "sort": lambda x: x.sort(dim=1),
    "sort, stable=False": lambda x: x.sort(dim=1, stable=False),
    "sort, stable=True": lambda x: x.sort(dim=1, stable=True),
    "argsort, stable=True": lambda x: x.argsort(dim=1, stable=True),
}


class Sorts(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def outcome(function):
    scores = torch.tensor([[0.5, 0.9, 0.5, 0.1]])
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            torch.onnx.export(Sorts(function), (scores,), dynamo=True, verbose=False)
        except torch.onnx.OnnxExporterError as error:
            return type(error).__name__
    return "exported"


seen = {name: outcome(function) for name, function in SORTS.items()}
for name, what in seen.items():
    print(f"{name}: {what}")
sys.exit(0 if list(seen.values()) == ["exported"] + ["ConversionError"] * 3 else 1)
PY
