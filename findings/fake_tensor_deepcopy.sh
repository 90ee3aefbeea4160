#!/bin/bash
# torch 2.14.1: a deep copy of a module that was made under FakeTensorMode belongs to another fake mode, a copy of the mode itself.
# The copy cannot be run in the mode in which it was made: "Mixing fake modes NYI". torch.nn.TransformerEncoder and
# TransformerDecoder copy their layers, and so cannot be used there at all.
#
# Expected: a copy of a fake tensor is a fake tensor of the same mode, as that of `clone()` is.
# Why: copying a FakeTensor copies its attributes, and `fake_mode` is one of them; the mode says nothing of how it is copied.
# Who meets it: whoever estimates memory or checks shapes of a model without allocating it: models with copied layers or heads, and
# torch.nn's own transformers.
# What helps: to build under `torch.device("meta")`, or outside of a mode with `allow_non_fake_inputs=True`.
#
# Output seen:
#   a linear layer: runs
#   its deep copy: AssertionError, of the same mode: False
#   nn.TransformerEncoder: AssertionError
#   built on the meta device: runs
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 numpy==2.4.6
cd "$folder"
venv/bin/python - 2>"$folder/log" <<'PY'
import copy
import sys

import torch
from torch import nn
from torch._subclasses import FakeTensorMode


def run(module, *shape, device="cpu"):
    try:
        module(torch.zeros(*shape, device=device))
    except Exception as error:
        return type(error).__name__
    return "runs"


def encoder():
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), num_layers=2)


with FakeTensorMode() as mode:
    linear = nn.Linear(3, 3)
    twin = copy.deepcopy(linear)
    same = twin.weight.fake_mode is mode
    seen = [run(linear, 1, 3), run(twin, 1, 3), run(encoder(), 4, 1, 8)]
with torch.device("meta"):
    seen.append(run(encoder(), 4, 1, 8, device="meta"))
print(f"a linear layer: {seen[0]}")
print(f"its deep copy: {seen[1]}, of the same mode: {same}")
print(f"nn.TransformerEncoder: {seen[2]}")
print(f"built on the meta device: {seen[3]}")
described = ["runs", "AssertionError", "AssertionError", "runs"]
sys.exit(0 if seen == described and not same else 1)
PY
