#!/bin/bash
# torch 2.14.1: convolutions, and linear layers without a bias, whose weights are on the meta device take a CPU image without a
# word, and return numbers that nobody computed. Other layers refuse it: "Tensor on device meta is not on the expected device cpu".
#
# Expected: the same error everywhere, as for a product, a norm or an embedding.
# Why: these operators hand their tensors to a library before anybody has compared the devices.
# Who meets it: whoever builds a model on the meta device and loads a checkpoint with `assign=True, strict=False` that lacks a key: the
# model runs, and detects nonsense.
# What helps: to look for `parameter.is_meta` after loading.
#
# Output seen:
#   weights left on meta by load_state_dict: bias
#   nn.Conv2d: a result on cpu
#   nn.Linear, no bias: a result on cpu
#   nn.Linear: RuntimeError
#   nn.BatchNorm2d: RuntimeError
#   nn.GroupNorm: RuntimeError
#   nn.LayerNorm: RuntimeError
#   nn.PReLU: RuntimeError
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 numpy==2.4.6
cd "$folder"
venv/bin/python - 2>"$folder/log" <<'PY'
import sys

import torch
from torch import nn


def called(make, image):
    with torch.device("meta"):
        layer = make().eval()
    for name, buffer in layer.named_buffers():  # statistics are there; weight and bias are not
        setattr(layer, name, torch.ones(buffer.shape))
    try:
        return f"a result on {layer(image).device}"
    except Exception as error:
        return type(error).__name__


with torch.device("meta"):
    layer = nn.Conv2d(4, 4, 3)
layer.load_state_dict({"weight": torch.ones(4, 4, 3, 3)}, assign=True, strict=False)
left = [name for name, value in layer.named_parameters() if value.is_meta]
lines = [f"weights left on meta by load_state_dict: {', '.join(left)}"]
image = torch.ones(1, 4, 8, 8)
layers = {
    "nn.Conv2d": lambda: nn.Conv2d(4, 4, 3),
    "nn.Linear, no bias": lambda: nn.Linear(8, 8, bias=False),
    "nn.Linear": lambda: nn.Linear(8, 8),
    "nn.BatchNorm2d": lambda: nn.BatchNorm2d(4),
    "nn.GroupNorm": lambda: nn.GroupNorm(2, 4),
    "nn.LayerNorm": lambda: nn.LayerNorm(8),
    "nn.PReLU": lambda: nn.PReLU(),
}
lines += [f"{name}: {called(make, image)}" for name, make in layers.items()]
print("\n".join(lines))
described = [
    "weights left on meta by load_state_dict: bias",
    "nn.Conv2d: a result on cpu",
    "nn.Linear, no bias: a result on cpu",
    *(f"nn.{name}: RuntimeError" for name in ("Linear", "BatchNorm2d", "GroupNorm", "LayerNorm", "PReLU")),
]
sys.exit(0 if lines == described else 1)
PY
