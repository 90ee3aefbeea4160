#!/bin/bash
# PyTorch 2.14.1: the output of F.linear for an input [B, N, C] is a view (the product is made of rows, [B * N, C], and shaped
# again), so an operation in place on it, as linear(x).masked_fill_(...) or ReLU(inplace=True), makes the backward copy the
# whole gradient: one new tensor, three copies and a clone, where masked_fill without the underscore needs one pass.
#
# Expected: the output of a layer is a tensor of its own, and what is meant to save memory in place costs nothing later.
# What is hit: the values of a deformable attention, whose padding is set to zero behind their projection, in every layer.
# On rows, [B * N, C], there is no view and no copy.
#
# Output seen:
#   [2, 500, 64] masked_fill: a view True, copies 0
#   [2, 500, 64] masked_fill_: a view True, copies 4
#   [1000, 64] masked_fill: a view False, copies 0
#   [1000, 64] masked_fill_: a view False, copies 0
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 numpy
cd "$folder"
venv/bin/python - <<'PY'
import sys

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode


class Copies(TorchDispatchMode):
    number = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.number += function.__name__.split(".")[0] in ("copy_", "clone")
        return function(*args, **(kwargs or {}))


seen = []
for shape in ([2, 500, 64], [1000, 64]):
    for name in ("masked_fill", "masked_fill_"):
        weight = torch.randn(64, 64, requires_grad=True)
        bias = torch.zeros(64, requires_grad=True)
        out = F.linear(torch.randn(shape), weight, bias)
        is_view = out._is_view()
        filled = getattr(out, name)(torch.rand(shape[:-1])[..., None] < 0.3, 0.0)
        with Copies() as copies:
            filled.sum().backward()
        print(f"{shape} {name}: a view {is_view}, copies {copies.number}")
        seen.append((is_view, copies.number))
sys.exit(0 if seen == [(True, 0), (True, 4), (False, 0), (False, 0)] else 1)
PY
