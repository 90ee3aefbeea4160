#!/usr/bin/env python
"""Time what follows a convolution of a ResNet with constant norms, forward and backward.

python benchmarks/affine_relu.py --write
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from report import (
    VERSUS_COLUMNS,
    describe_run,
    parse_run,
    publish,
    run_parser,
    table,
    time_sides,
    versus,
)
from timing import Side
from torch import Tensor

from hdetr_d2.ops import affine_relu
from hdetr_d2.ops.extension import why_no_kernel

OURS = "ours"
# Channels, height and width of a ResNet-50's maps for an image of 480x640.
SIZES: Mapping[str, tuple[int, int, int]] = {
    "stride 8, 512 channels": (512, 60, 80),
    "stride 32, 2048 channels": (2048, 15, 20),
}
DTYPES = (torch.float32, torch.bfloat16)


class Inputs(NamedTuple):
    """x: `Tensor[1, C, H, W]`, channels_last on a CPU. residual: likewise, or None."""

    x: Tensor
    scale: Tensor
    shift: Tensor
    residual: Tensor | None


def in_single_steps(x: Tensor, scale: Tensor, shift: Tensor, residual: Tensor | None) -> Tensor:
    """One operation for the norm, and in-place ones for the shortcut and the ReLU."""
    shift, scale = (each.to(x.dtype)[:, None, None] for each in (shift, scale))
    y = torch.addcmul(shift, x, scale)
    if residual is not None:
        y += residual
    return y.relu_()


SIDES: Mapping[str, Callable[..., Tensor]] = {OURS: affine_relu, "single steps": in_single_steps}


def draw(sizes: tuple[int, int, int], dtype: torch.dtype, sum_too: bool, device: str) -> Inputs:
    order = torch.channels_last if device == "cpu" else torch.contiguous_format
    given = torch.randn(2, 1, *sizes, device=device).to(dtype)
    x, residual = (each.contiguous(memory_format=order).requires_grad_() for each in given.unbind())
    scale, shift = torch.rand(2, sizes[0], device=device)
    return Inputs(x, scale, shift, residual if sum_too else None)


def passes(function: Callable[..., Tensor], inputs: Inputs) -> dict[str, Side]:
    leaves = [each for each in inputs if each is not None and each.requires_grad]
    weights = torch.randn_like(inputs.x)
    return {
        "forward": lambda: function(*inputs),
        "forward + backward": lambda: torch.autograd.grad(function(*inputs), leaves, weights),
    }


def measure(name: str, dtype: torch.dtype, options: argparse.Namespace) -> list[list[str]]:
    channels, *sides_of_map = SIZES[name]
    height, width = (3, 4) if options.smoke else sides_of_map
    rows = []
    for sum_too in (False, True):
        inputs = draw((channels, height, width), dtype, sum_too, options.device)
        sides = {key: passes(function, inputs) for key, function in SIDES.items()}
        case = f"{name}, {str(dtype).removeprefix('torch.')}{', with a sum' if sum_too else ''}"
        for each in sides[OURS]:
            times = time_sides({key: side[each] for key, side in sides.items()}, options)
            rows += [[case, each, *row] for row in versus(times, OURS, lambda peer: "")]
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases, prints the table, and writes it if requested."""
    options = parse_run(run_parser(__doc__), arguments)
    torch.set_num_threads(options.threads)
    missing = why_no_kernel("affine_relu", torch.device(options.device))
    lines = [
        *describe_run(options.device),
        f"ours: {f'the twin. {missing}' if missing else 'the compiled op'}",
    ]
    rows = [row for name in SIZES for dtype in DTYPES for row in measure(name, dtype, options)]
    publish("affine_relu", lines, [table(["case", "pass", *VERSUS_COLUMNS], rows)], options)


if __name__ == "__main__":
    main()
