#!/bin/bash
# torch 2.14.1: torch.func.functional_call leaves the given tensors in a module that has a submodule under two names.
# After the call its weights are the ones of the call, plain tensors instead of parameters, and what they were is gone: an optimizer
# that was made before goes on with weights that no module has.
#
# Expected: the module is as before the call, as the documentation says; with a parameter that two modules share it is.
# Why: a tensor is put in its place once for each name of the place; the second time what is kept as the original is the first.
# Who meets it: whoever asks for shapes with meta tensors, for per-sample gradients or for a meta-learner's inner step, with a model
# that uses a block twice (ALBERT, recurrent refinement heads, position encodings that several blocks of a CoaT share).
# What helps: to call a deep copy of the module.
#
# Output seen:
#   a linear layer: its own weights again, 2 parameters
#   one weight in two layers: its own weights again, 3 parameters
#   one layer under two names: the weights of the call, 0 parameters
#   the same, meta tensors given: it lies on meta
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
from torch.func import functional_call


def one():
    return nn.Sequential(nn.Linear(2, 2))


def tied():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    return net


def shared():
    layer = nn.Linear(2, 2)
    return nn.Sequential(layer, layer)


def after_a_call(net):
    weight = net[0].weight.detach().clone()
    given = {name: 2 * value.detach() for name, value in net.named_parameters()}
    functional_call(net, given, (torch.ones(1, 2),))
    whose = "its own weights again" if torch.equal(net[0].weight, weight) else "the weights of the call"
    number = sum(isinstance(value, nn.Parameter) for value in net.parameters())
    return f"{whose}, {number} parameters"


lines = [
    f"a linear layer: {after_a_call(one())}",
    f"one weight in two layers: {after_a_call(tied())}",
    f"one layer under two names: {after_a_call(shared())}",
]
net = shared()
given = {name: value.detach().to("meta") for name, value in net.named_parameters()}
functional_call(net, given, (torch.ones(1, 2, device="meta"),))
lines.append(f"the same, meta tensors given: it lies on {net[0].weight.device}")
print("\n".join(lines))
described = [
    "a linear layer: its own weights again, 2 parameters",
    "one weight in two layers: its own weights again, 3 parameters",
    "one layer under two names: the weights of the call, 0 parameters",
    "the same, meta tensors given: it lies on meta",
]
sys.exit(0 if lines == described else 1)
PY
