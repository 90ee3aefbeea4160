#!/bin/bash
# PyTorch 2.14.1: a custom operator whose gradient is given by torch.library.register_autograd has a forward-mode derivative
# that is silently lost. torch.func.jvp through it gives zeros of the right shape, and torch.autograd.forward_ad gives an
# output without a tangent, where a torch.autograd.Function without `jvp` raises a clear error.
#
# Expected: an error, as of torch.autograd.Function, or the derivative; register_autograd is said to be its successor.
# What is hit: jvp, jacfwd and hessian (forward over reverse) of any model with such an operator are wrong without a word.
#
# Output seen (3 * x at x = 2 with the tangent 1, whose derivative is 3):
#   register_autograd, torch.func.jvp: 0.0
#   register_autograd, forward_ad: None
#   autograd.Function: NotImplementedError
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
from torch.autograd import forward_ad


@torch.library.custom_op("finding::triple", mutates_args=())
def triple(x: torch.Tensor) -> torch.Tensor:
    return 3 * x


torch.library.register_autograd("finding::triple", lambda ctx, grad: 3 * grad)


class Triple(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 3 * x

    @staticmethod
    def backward(ctx, grad):
        return 3 * grad


def dual(function):
    with forward_ad.dual_level():
        x = forward_ad.make_dual(torch.tensor(2.0), torch.tensor(1.0))
        return forward_ad.unpack_dual(function(x)).tangent


derivative = torch.func.jvp(triple, (torch.tensor(2.0),), (torch.tensor(1.0),))[1].item()
tangent = dual(triple)
try:
    told = dual(Triple.apply)
except Exception as error:
    told = type(error).__name__
print("register_autograd, torch.func.jvp:", derivative)
print("register_autograd, forward_ad:", tangent)
print("autograd.Function:", told)
described = derivative == 0.0 and tangent is None and told == "NotImplementedError"
sys.exit(0 if described else 1)
PY
