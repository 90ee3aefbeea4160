#!/bin/bash
# PyTorch 2.14.1: AdamW(fused=True) on a CPU takes weight, gradient and moments as they lie in memory, one after the other,
# whatever their strides. A training whose moments were saved in the usual order and that goes on with a model in
# channels_last updates each weight of a convolution by the moments of another one: no error, no warning, a loss that goes
# on. SGD(fused=True) and Adagrad(fused=True) do the same, as does a gradient that was assigned in another order.
#
# Expected: what fused=False gives, which follows the strides; or a refusal.
# What is hit: `model.to(memory_format=torch.channels_last)` is advised for convolutions on a CPU, and is added to trainings
# that run already. `optimizer.load_state_dict` leaves the strides of what it loads.
#
# Output seen (largest difference of a weight to the same training that stays in the usual order, and how far weights moved):
#   fused False: channels_last differs by 0.0000, moved 0.0603, moments in the order of the weight: False
#   fused True: channels_last differs by 0.0425, moved 0.0603, moments in the order of the weight: False
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


def make(order):
    torch.manual_seed(0)
    model = torch.nn.Conv2d(3, 4, 3).to(memory_format=order)
    return model


def train(model, optimizer):
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    for _ in range(3):
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()


def resumed(fused, order):
    """Three steps in the usual order, three more in this one: the weight, and its optimizer."""
    first, second = make(torch.contiguous_format), make(order)
    optimizers = [torch.optim.AdamW(m.parameters(), lr=1e-2, fused=fused) for m in (first, second)]
    train(first, optimizers[0])
    second.load_state_dict(first.state_dict())
    optimizers[1].load_state_dict(optimizers[0].state_dict())
    train(second, optimizers[1])
    moments = optimizers[1].state[second.weight]["exp_avg"]
    return second.weight.detach(), moments.stride() == second.weight.stride()


seen = []
for fused in (False, True):
    usual, _ = resumed(fused, torch.contiguous_format)
    other, ordered = resumed(fused, torch.channels_last)
    error = float((usual - other).abs().max())
    moved = float((usual - make(torch.contiguous_format).weight.detach()).abs().max())
    print(
        f"fused {fused}: channels_last differs by {error:.4f}, moved {moved:.4f}, "
        f"moments in the order of the weight: {ordered}"
    )
    seen.append((error > 0.01, ordered))
sys.exit(0 if seen == [(False, False), (True, False)] else 1)
PY
