#!/bin/bash
# PyTorch 2.14.1: a module that was compiled in place, `module.compile()`, is no longer so in a copy: `copy.deepcopy` and
# pickle leave the compilation out without a word. Moving averages are such copies: that of a model compiled in place,
# `torch.optim.swa_utils.AveragedModel(model)`, is evaluated operator by operator. A copy of `torch.compile(module)` is
# compiled.
#
# Expected: the same of both forms, or a warning; `compile` is described as the form that changes no names of weights.
# What is hit: the evaluation of a moving average, a teacher that is copied from its student, a model sent to workers.
#
# Output seen (calls of the compiled graph, when the module is called once):
#   module.compile(): module 1, copy 0, moving average 0
#   torch.compile(module): module 1, copy 1, moving average 1
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 numpy
cd "$folder"
venv/bin/python - <<'PY'
import copy
import sys

import torch
from torch.optim.swa_utils import AveragedModel

calls = 0


def backend(graph, inputs):
    def run(*args):
        global calls
        calls += 1
        return graph.forward(*args)

    return run


def calls_of(module):
    global calls
    calls = 0
    module(torch.ones(2, 4))
    return calls


def in_place():
    module = torch.nn.Linear(4, 4)
    module.compile(backend=backend)
    return module


def wrapped():
    return torch.compile(torch.nn.Linear(4, 4), backend=backend)


seen = {}
for name, make in (("module.compile()", in_place), ("torch.compile(module)", wrapped)):
    torch._dynamo.reset()
    module = make()
    seen[name] = [calls_of(each) for each in (module, copy.deepcopy(module), AveragedModel(module))]
    print("{}: module {}, copy {}, moving average {}".format(name, *seen[name]))
sys.exit(seen != {"module.compile()": [1, 0, 0], "torch.compile(module)": [1, 1, 1]})
PY
