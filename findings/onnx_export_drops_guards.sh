#!/bin/bash
# torch 2.14.1 with onnx 1.23.2, onnxscript 0.7.2 and onnxruntime 1.32.0: `int(height * 0.5)` of a dynamic size becomes the number
# that it was for the example image, and torch.onnx.export writes a file whose sizes are said to be dynamic all the same. At
# other heights ONNX Runtime gives a map of the example's size. Nothing warns or fails, neither at export nor when it is run.
#
# Expected: the size is computed in the file, or the export is refused, as Dim.DYNAMIC refuses a size that has to be constant.
# The exported program does refuse other heights, by a guard; the file of the same program answers.
# Why: `int` of a fractional size is evaluated for the example and a guard is kept beside the graph, and the ONNX exporter takes
# the graph alone. Integers only, `height // 2`, stays dynamic.
# Who meets it: detectors that scale their input or feature maps by a factor within the model.
# What helps: `height // 2`, `F.interpolate(scale_factor=0.5)`, and to compare at a second size.
#
# Output seen (rows of the result at the example's height, 64, and at 100):
#   int(height * 0.5): PyTorch 32 50, exported program 32 refused, ONNX Runtime 32 32
#   height // 2: PyTorch 32 50, exported program 32 50, ONNX Runtime 32 50
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
    "int(height * 0.5)": lambda height: int(height * 0.5),
    "height // 2": lambda height: height // 2,
}
IMAGES = [torch.zeros(1, 3, height, 64) for height in (64, 100)]


class Half(torch.nn.Module):
    def __init__(self, rows):
        super().__init__()
        self.rows = rows

    def forward(self, image):
        return F.interpolate(image, size=(self.rows(image.shape[2]), 32), mode="bilinear")


def rows_of(model):
    told = []
    for image in IMAGES:
        try:
            told.append(model(image).shape[2])
        except AssertionError as error:
            assert "Guard failed" in str(error), error
            told.append("refused")
    return told


seen = []
for name, rows in ROWS.items():
    sizes = ({2: torch.export.Dim.DYNAMIC},)
    program = torch.export.export(Half(rows), (IMAGES[0],), dynamic_shapes=sizes)
    with contextlib.redirect_stdout(io.StringIO()):
        file = torch.onnx.export(program, dynamo=True, opset_version=18, optimize=False)
    session = onnxruntime.InferenceSession(
        file.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    entry = session.get_inputs()[0]
    assert isinstance(entry.shape[2], str), "the file says that the height is dynamic"
    models = {
        "PyTorch": Half(rows),
        "exported program": program.module(),
        "ONNX Runtime": lambda image: session.run(None, {entry.name: image.numpy()})[0],
    }
    told = {kind: rows_of(model) for kind, model in models.items()}
    print(f"{name}: " + ", ".join(f"{kind} {a} {b}" for kind, (a, b) in told.items()))
    seen.append(list(told.values()))
described = [[[32, 50], [32, "refused"], [32, 32]], [[32, 50], [32, 50], [32, 50]]]
sys.exit(0 if seen == described else 1)
PY
