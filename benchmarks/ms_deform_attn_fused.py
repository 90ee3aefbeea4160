#!/usr/bin/env python
"""Time multi-scale deformable attention from the rows of its queries, forward and backward.

python benchmarks/ms_deform_attn_fused.py --write
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from ms_deform_attn_cases import CHANNELS, HEADS, POINTS, cell_centres, initial_offsets
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

from hdetr_d2.ops import ms_deform_attn, ms_deform_attn_fused
from hdetr_d2.ops.extension import why_no_kernel
from hdetr_d2.ops.ms_deform_attn_fused_reference import sampling_points

# (H, W) of the levels of an image of 480 x 640 pixels.
LEVELS = ((60, 80), (30, 40), (15, 20), (8, 10))
OURS = "ours"


class Case(NamedTuple):
    """queries: None for the encoder, where every cell is a query. numbers: per reference."""

    queries: int | None
    numbers: int
    of_reference: bool = False


CASES: Mapping[str, Case] = {
    "encoder": Case(None, 2),
    "decoder, 1800 boxes": Case(1800, 4),
    "the same, which learn": Case(1800, 4, True),
}


def composition(value: Tensor, shapes: tuple, reference: Tensor, rows: Tensor) -> Tensor:
    """Softmax, locations and the operator, one after the other."""
    exact = rows.to(reference.dtype)
    points = sampling_points(shapes, reference, exact, value.shape[2])
    return ms_deform_attn(value, shapes, *points)


SIDES: Mapping[str, Callable] = {
    OURS: ms_deform_attn_fused,
    "softmax, locations, ms_deform_attn": composition,
}


def draw_inputs(case: Case, options: argparse.Namespace) -> tuple[Tensor, tuple, Tensor, Tensor]:
    """Offsets around those of an untrained model, as in `ms_deform_attn.py`."""
    torch.manual_seed(0)
    shapes = ((4, 6), (2, 3)) if options.smoke else LEVELS
    images, levels, dtype = options.batch, len(shapes), getattr(torch, options.dtype)
    centres = cell_centres(shapes)
    if case.queries is not None:
        centres = torch.rand(5 if options.smoke else case.queries, 2)
    queries = len(centres)
    reference = centres[None, :, None].repeat(images, 1, levels, 1)
    offsets = initial_offsets() + 1.5 * torch.randn(images, queries, HEADS, levels, POINTS, 2)
    if case.numbers == 4:
        reference = torch.cat([reference, torch.rand_like(reference) * 0.4 + 0.05], -1)
    logits = torch.randn(images, queries, HEADS * levels * POINTS)
    value = torch.randn(images, sum(h * w for h, w in shapes), HEADS, CHANNELS)
    rows = torch.cat([offsets.flatten(2), logits], -1)
    value, reference, rows = (t.to(options.device) for t in (value, reference, rows))
    return value.to(dtype), shapes, reference, rows.to(dtype)


def passes(function: Callable, case: Case, inputs: tuple) -> dict[str, Side]:
    value, shapes, reference, rows = inputs
    leaves = [tensor.detach().requires_grad_() for tensor in (value, reference, rows)]
    if not case.of_reference:
        leaves[1] = reference
    learning = [leaf for leaf in leaves if leaf.requires_grad]
    gradient = torch.randn_like(function(*inputs))
    return {
        "forward": lambda: function(*inputs),
        "forward + backward": lambda: torch.autograd.grad(
            function(leaves[0], shapes, *leaves[1:]), learning, gradient
        ),
    }


def measure(name: str, options: argparse.Namespace) -> list[list[str]]:
    case = CASES[name]
    inputs = draw_inputs(case, options)
    sides = {key: passes(function, case, inputs) for key, function in SIDES.items()}
    rows = []
    for each in sides[OURS]:
        times = time_sides({key: side[each] for key, side in sides.items()}, options)
        rows += [[name, each, *row] for row in versus(times, OURS, lambda peer: "at least 1")]
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases, prints the table, and writes it if requested."""
    parser = run_parser(__doc__)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--batch", type=int, default=1, help="images (1)")
    options = parse_run(parser, arguments)
    torch.set_num_threads(options.threads)
    missing = why_no_kernel("ms_deform_attn_fused", torch.device(options.device))
    lines = [
        *describe_run(options.device),
        f"inputs: {options.dtype}, {options.batch} images of 480x640, {HEADS} heads, {POINTS} "
        f"points, {CHANNELS} channels a head",
        f"ours: {f'the peer. {missing}' if missing else 'the compiled op'}",
    ]
    rows = [row for name in CASES for row in measure(name, options)]
    publish(
        "ms_deform_attn_fused", lines, [table(["case", "pass", *VERSUS_COLUMNS], rows)], options
    )


if __name__ == "__main__":
    main()
