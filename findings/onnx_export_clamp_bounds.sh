#!/bin/bash
# torch 2.14.1 with onnx 1.23.2 and onnxscript 0.7.2: `x.clamp(0, 0.5)` stops torch.onnx.export with a ConversionError, although
# eager mode, torch.export and its decomposition compute it. One bound is an integer of Python and the other one a float: bounds of
# one type, `x.clamp(0.0, 0.5)` or `x.clamp(0, 1)`, are exported.
#
# Expected: bounds are numbers, and become numbers of the tensor's type, as they do everywhere else.
# Why: the exporter's pass for type promotion makes a tensor of the integer and leaves the float a number; clamp takes two numbers or
# two tensors ("Cannot find a compatible OpOverload for aten.clamp").
# Who meets it: whoever keeps boxes in [eps, 1] or scores in [0, 0.5]: the inverse sigmoid of detection transformers, crops of boxes.
# What helps: to write both bounds as floats.
#
# Output seen:
#   clamp(0, 0.5): export ok, onnx ConversionError
#   clamp(0.0, 0.5): export ok, onnx ok
#   clamp(1e-05, 1): export ok, onnx ConversionError
#   clamp(1e-05, 1.0): export ok, onnx ok
#   clamp(0, 1): export ok, onnx ok
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

BOUNDS = [(0, 0.5), (0.0, 0.5), (1e-5, 1), (1e-5, 1.0), (0, 1)]


class Clamp(torch.nn.Module):
    def __init__(self, bounds):
        super().__init__()
        self.bounds = bounds

    def forward(self, x):
        return x.clamp(*self.bounds)


def onnx_of(program):
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            torch.onnx.export(program, dynamo=True, opset_version=18, optimize=False)
    except Exception as error:
        return type(error).__name__
    return "ok"


x, seen = torch.tensor([-1.0, 0.3, 2.0]), []
for bounds in BOUNDS:
    model = Clamp(bounds)
    program = torch.export.export(model, (x,))
    same = torch.equal(program.run_decompositions().module()(x), model(x))
    seen.append(("ok" if same else "differs", onnx_of(program)))
    print(f"clamp{bounds}: export {seen[-1][0]}, onnx {seen[-1][1]}")
refused = ("ok", "ConversionError")
sys.exit(0 if seen == [refused, ("ok", "ok"), refused, ("ok", "ok"), ("ok", "ok")] else 1)
PY
