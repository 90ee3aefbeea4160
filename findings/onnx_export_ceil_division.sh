#!/bin/bash
# torch 2.14.1 with onnx 1.23.2, onnxscript 0.7.2 and onnxruntime 1.32.0: the usual way to divide a size and round up,
# `-(-height // 32)`, rounds down after torch.onnx.export if the size is dynamic. Nothing warns. torch.export is right, and so
# is the file at every height that 32 divides; at others the model's maps have a row too few.
#
# Expected: `//` of integers rounds down, as in Python and in the exported program; and `(height + 31) // 32` is the same number.
# Why: the exporter makes ONNX's Div of a `//` between sizes, and Div of integers rounds towards zero. `//` between tensors is
# exported with the correction for negative numbers, `%` between sizes is exported rightly.
# Who meets it: detectors with dynamic image sizes, for the number of windows, of cells of a grid or of rows of a feature map.
# What helps: `(height + 31) // 32`, or to export with a height that is no multiple and compare at others.
#
# Output seen (rows of the map: PyTorch, exported program, ONNX Runtime):
#   height 64: -(-height // 32): 2 2 2, (height + 31) // 32: 2 2 2
#   height 65: -(-height // 32): 3 3 2, (height + 31) // 32: 3 3 3
#   height 95: -(-height // 32): 3 3 2, (height + 31) // 32: 3 3 3
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
from torch.nn import functional as F

ROWS = {
    "-(-height // 32)": lambda height: -(-height // 32),
    "(height + 31) // 32": lambda height: (height + 31) // 32,
}


class Rows(torch.nn.Module):
    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def forward(self, image):
        return F.interpolate(image, size=(self.rows(image.shape[2]), 4))


def exported(rows):
    sizes = ({2: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(Rows(rows), (torch.zeros(1, 3, 70, 64),), dynamic_shapes=sizes)
    with contextlib.redirect_stdout(io.StringIO()):
        file = torch.onnx.export(program, dynamo=True, opset_version=18, optimize=False)
    session = onnxruntime.InferenceSession(
        file.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return program.module(), session


models = {name: (Rows(rows), *exported(rows)) for name, rows in ROWS.items()}
seen = {}
for height in (64, 65, 95):
    image = torch.zeros(1, 3, height, 64)
    for name, (eager, program, session) in models.items():
        onnx = session.run(None, {session.get_inputs()[0].name: image.numpy()})[0]
        seen[height, name] = [model(image).shape[2] for model in (eager, program)] + [onnx.shape[2]]
    told = [f"{name}: " + " ".join(map(str, seen[height, name])) for name in ROWS]
    print(f"height {height}: " + ", ".join(told))
described = [[2, 2, 2], [2, 2, 2], [3, 3, 2], [3, 3, 3], [3, 3, 2], [3, 3, 3]]
sys.exit(0 if list(seen.values()) == described else 1)
PY
