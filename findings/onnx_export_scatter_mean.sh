#!/bin/bash
# torch 2.14.1 with onnx 1.23.2, onnxscript 0.7.2 and onnxruntime 1.32.0: `scatter_reduce` with reduce="mean" is exported to ONNX
# as a scatter without any reduction. The file computes the last value of each cell in place of the mean, in the right shape and
# type. The export succeeds without a word; "sum", "prod", "amax" and "amin" are exported rightly.
#
# Expected: a mean, or the error that the exporter has for what it does not support; ONNX has no scatter with a mean.
# Why: the exporter's table of reductions maps "mean" to ONNX's "none", which overwrites.
# Who meets it: detectors in point clouds and bird's-eye views, whose features are averaged over the points of each cell, and
# models that average features over the pixels of a segment.
# What helps: `scatter_add` of the values, divided by `scatter_add` of ones.
#
# Output seen (values 2, 4 in cell 0, and 10, 20, 60 in cell 1):
#   mean: PyTorch [3.0, 30.0], ONNX Runtime [4.0, 60.0]
#   amax: PyTorch [4.0, 60.0], ONNX Runtime [4.0, 60.0]
#   sum / count: PyTorch [3.0, 30.0], ONNX Runtime [3.0, 30.0]
#   reductions in the file of the mean: ['none']
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
venv/bin/python - 2>"$folder/log" <<'PY'
import contextlib
import io
import sys

import onnxruntime
import torch

VALUES = torch.tensor([2.0, 4.0, 10.0, 20.0, 60.0])
CELLS = torch.tensor([0, 0, 1, 1, 1])


def by_sums(empty, cells, values):
    return empty.scatter_add(0, cells, values) / empty.scatter_add(0, cells, torch.ones_like(values))


def reduced(kind):
    return lambda empty, cells, values: empty.scatter_reduce(0, cells, values, kind, include_self=False)


WAYS = {"mean": reduced("mean"), "amax": reduced("amax"), "sum / count": by_sums}


class Cells(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, values, cells):
        return self.function(values.new_zeros(2), cells, values)


seen, reductions = {}, {}
for name, function in WAYS.items():
    program = torch.export.export(Cells(function), (VALUES, CELLS))
    with contextlib.redirect_stdout(io.StringIO()):
        file = torch.onnx.export(program, dynamo=True, opset_version=18, optimize=False).model_proto
    session = onnxruntime.InferenceSession(
        file.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    onnx = session.run(None, {"values": VALUES.numpy(), "cells": CELLS.numpy()})[0]
    seen[name] = (Cells(function)(VALUES, CELLS).tolist(), onnx.tolist())
    print(f"{name}: PyTorch {seen[name][0]}, ONNX Runtime {seen[name][1]}")
    attributes = [a for node in file.graph.node for a in node.attribute]
    reductions[name] = sorted({a.s.decode() for a in attributes if a.name == "reduction"})
print("reductions in the file of the mean:", reductions["mean"])
described = {
    "mean": ([3.0, 30.0], [4.0, 60.0]),
    "amax": ([4.0, 60.0], [4.0, 60.0]),
    "sum / count": ([3.0, 30.0], [3.0, 30.0]),
}
sys.exit(0 if seen == described and reductions["mean"] == ["none"] else 1)
PY
