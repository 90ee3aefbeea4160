#!/bin/bash
# torch 2.14.1 with onnx 1.23.2, onnxscript 0.7.2 and onnxruntime 1.32.0: a query that may attend to nothing (its row of a boolean
# mask is all False) gets zeros from F.scaled_dot_product_attention and, after torch.onnx.export, the mean of all the values, of
# those that the mask hides, too. It is finite and of a plausible size, so that no look for NaN finds it.
#
# Expected: zeros, as of PyTorch; ONNX's operator Attention asks for them as well, and the exporter means to give them.
# Why: it replaces the NaN that a row of infinities gives in the softmax by zero. But the mask that it adds holds the lowest finite
# number instead: scores vanish beside it, all keys become equal, and there is no NaN to replace. With a mask of floats with
# minus infinity there is one, and nothing replaces it.
# Who meets it: attention within a predicted mask (a query whose mask is empty), and padded images or queries of a batch.
# What helps: a boolean mask, and to multiply the attention by `mask.any(-1, keepdim=True)`.
#
# Output seen (two queries; values of the keys 1, 2 and 9; the first query sees keys 0 and 1 with equal scores, the second none):
#   boolean mask: PyTorch [1.5, 0.0], ONNX Runtime [1.5, 4.0]
#   mask of floats: PyTorch [1.5, 0.0], ONNX Runtime [1.5, nan]
#   boolean mask, multiplied: PyTorch [1.5, 0.0], ONNX Runtime [1.5, 0.0]
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

QUERIES = torch.ones(1, 1, 2, 1)
KEYS = torch.ones(1, 1, 3, 1)
VALUES = torch.tensor([1.0, 2.0, 9.0]).reshape(1, 1, 3, 1)
MASK = torch.tensor([[True, True, False], [False, False, False]]).reshape(1, 1, 2, 3)


def boolean(q, k, v, mask):
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)


def floats(q, k, v, mask):
    return boolean(q, k, v, torch.where(mask, 0.0, -torch.inf))


def multiplied(q, k, v, mask):
    return boolean(q, k, v, mask) * mask.any(-1, keepdim=True)


class Attention(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, q, k, v, mask):
        return self.function(q, k, v, mask).flatten()


def told(numbers):
    return [round(number, 3) for number in numbers.tolist()]


seen = []
ways = {"boolean mask": boolean, "mask of floats": floats, "boolean mask, multiplied": multiplied}
inputs = {"q": QUERIES, "k": KEYS, "v": VALUES, "mask": MASK}
for name, function in ways.items():
    model = Attention(function).eval()
    program = torch.export.export(model, tuple(inputs.values()))
    with contextlib.redirect_stdout(io.StringIO()):
        file = torch.onnx.export(program, dynamo=True, opset_version=18, optimize=False)
    session = onnxruntime.InferenceSession(
        file.model_proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    onnx = session.run(None, {key: tensor.numpy() for key, tensor in inputs.items()})[0]
    seen.append((told(model(*inputs.values())), told(onnx)))
    print(f"{name}: PyTorch {seen[-1][0]}, ONNX Runtime {seen[-1][1]}")
described = "[([1.5, 0.0], [1.5, 4.0]), ([1.5, 0.0], [1.5, nan]), ([1.5, 0.0], [1.5, 0.0])]"
sys.exit(0 if str(seen) == described else 1)
PY
