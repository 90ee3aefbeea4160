#!/bin/bash
# PyTorch 2.14.1: torch.utils.flop_counter.FlopCounterMode counts no operation at all for attention on a CPU.
# F.scaled_dot_product_attention is 0 there, and a whole nn.MultiheadAttention, with its projections, is 0 in evaluation;
# in training the projections are counted and the attention is not. Nothing warns, and the total looks plausible.
#
# Expected: 2 products of matrices, as for the same model on a GPU, or with SDPBackend.MATH (2 * B * heads * Q * K * 2 * d).
# Why: the counter has formulas for the fused kernels of CUDA and none for the CPU's flash attention, nor for the one
# operator that nn.MultiheadAttention becomes in evaluation; an operator without a formula counts as 0.
# What helps: sdpa_kernel(SDPBackend.MATH) and torch.backends.mha.set_fastpath_enabled(False) around the count.
#
# Output seen (B = 1, 2 heads, 7 queries and keys, dimension 8 a head, so 2 * 2 * 7 * 7 * 8 * 2 = 3136 in the attention):
#   scaled_dot_product_attention: 0, math: 3136
#   MultiheadAttention: training 14336, evaluation 0, math 17472
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
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def count(function):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        function()
    return counter.get_total_flops()


q = torch.randn(1, 2, 7, 8)
x = torch.randn(1, 7, 16)
layer = torch.nn.MultiheadAttention(16, 2, batch_first=True)
fused = count(lambda: F.scaled_dot_product_attention(q, q, q))
training = count(lambda: layer.train()(x, x, x, need_weights=False))
evaluation = count(lambda: layer.eval()(x, x, x, need_weights=False))
torch.backends.mha.set_fastpath_enabled(False)
with sdpa_kernel(SDPBackend.MATH):
    math = count(lambda: F.scaled_dot_product_attention(q, q, q))
    whole = count(lambda: layer.eval()(x, x, x, need_weights=False))
print(f"scaled_dot_product_attention: {fused}, math: {math}")
print(f"MultiheadAttention: training {training}, evaluation {evaluation}, math {whole}")
described = (fused, math, evaluation) == (0, 3136, 0) and whole - training == 3136
sys.exit(0 if described else 1)
PY
