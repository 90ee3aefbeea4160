#!/bin/bash
# torch 2.14.1 with onnx 1.23.2, onnxscript 0.7.2 and onnxruntime 1.32.0: after torch.onnx.export the mean of integers that is
# asked for in float32, `x.mean(1, dtype=torch.float32)`, is that of integers, rounded, in float32. Nothing warns. Of uint8 and
# of bool (pixels, masks) the exporter writes a file that ONNX Runtime refuses as invalid.
#
# Expected: `dtype` is what PyTorch computes in, as its documentation says, and as the exported `sum`, `cumsum` and `prod` with a
# dtype do. That was the guess of who wrote the share of an image that is not padding as `(~padding).mean(1, dtype=torch.float32)`.
# Why: the exporter puts its Cast behind ReduceMean, not before it; ONNX's ReduceMean of int64 divides integers.
# Who meets it: means of labels, counts or token lengths (silently), of masks and of raw pixels (refused).
# What helps: `x.float().mean(1)`.
#
# Output seen (PyTorch; exported program; ONNX Runtime):
#   int64, mean with dtype: 2.3333; 2.3333; 2.0000
#   int64, float() first: 2.3333; 2.3333; 2.3333
#   int64, sum with dtype: 7.0000; 7.0000; 7.0000
#   bool, mean with dtype: 0.6667; 0.6667; refused
#   bool, float() first: 0.6667; 0.6667; 0.6667
#   bool, sum with dtype: 2.0000; 2.0000; 2.0000
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

WAYS = {
    "mean with dtype": lambda x: x.mean(1, dtype=torch.float32),
    "float() first": lambda x: x.float().mean(1),
    "sum with dtype": lambda x: x.sum(1, dtype=torch.float32),
}
VALUES = {"int64": torch.tensor([[1, 2, 4]]), "bool": torch.tensor([[True, False, True]])}
DESCRIBED = ["2.3333; 2.3333; 2.0000", "2.3333; 2.3333; 2.3333", "7.0000; 7.0000; 7.0000"]
DESCRIBED += ["0.6667; 0.6667; refused", "0.6667; 0.6667; 0.6667", "2.0000; 2.0000; 2.0000"]


class Way(torch.nn.Module):
    def __init__(self, way):
        super().__init__()
        self.way = way

    def forward(self, x):
        return self.way(x)


def in_runtime(program, x):
    with contextlib.redirect_stdout(io.StringIO()):
        file = torch.onnx.export(program, dynamo=True, opset_version=18).model_proto
    try:
        session = onnxruntime.InferenceSession(
            file.SerializeToString(), providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        assert "INVALID_GRAPH" in str(error)
        return "refused"
    return f"{session.run(None, {session.get_inputs()[0].name: x.numpy()})[0].item():.4f}"


seen = []
for kind, x in VALUES.items():
    for name, way in WAYS.items():
        program = torch.export.export(Way(way), (x,))
        both = [f"{each(x).item():.4f}" for each in (way, program.module())]
        seen.append("; ".join([*both, in_runtime(program, x)]))
        print(f"{kind}, {name}: {seen[-1]}")
sys.exit(0 if seen == DESCRIBED else 1)
PY
