#!/usr/bin/env python
"""Time what a decoder layer does to move its boxes, forward and backward.

python benchmarks/move_boxes.py --write
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
from collections.abc import Callable, Mapping

import torch
from assignment_cases import IMAGES
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

from hdetr_d2.ops import move_boxes, move_boxes_reference
from hdetr_d2.ops.extension import why_no_kernel

OURS = "ours"
SIDES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {
    OURS: move_boxes,
    "our PyTorch twin": move_boxes_reference,
}
# Queries, and numbers per reference.
SIZES: Mapping[str, tuple[int, int]] = {
    "300 queries, points": (300, 2),
    "300 queries, boxes": (300, 4),
    "1800 queries, boxes": (1800, 4),
}


def passes(function: Callable, delta: Tensor, reference: Tensor) -> dict[str, Side]:
    """The reference receives a gradient with look forward twice."""
    weights = torch.randn_like(delta)
    leaves = [each.detach().requires_grad_() for each in (delta, reference)]

    def learn(*learning: Tensor) -> Side:
        place = leaves[1] if len(learning) > 1 else reference
        return lambda: torch.autograd.grad(function(leaves[0], place), learning, weights)

    return {
        "forward": lambda: function(delta, reference),
        "forward + backward": learn(leaves[0]),
        "the same, of both": learn(*leaves),
    }


def measure(name: str, options: argparse.Namespace) -> list[list[str]]:
    queries, numbers = SIZES[name]
    shape = (IMAGES, 8 if options.smoke else queries)
    delta = torch.randn(*shape, 4, device=options.device)
    reference = torch.rand(*shape, numbers, device=options.device)
    sides = {key: passes(function, delta, reference) for key, function in SIDES.items()}
    rows = []
    for each in sides[OURS]:
        times = time_sides({key: side[each] for key, side in sides.items()}, options)
        rows += [[name, each, *row] for row in versus(times, OURS, lambda peer: "")]
    return rows


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases, prints the table, and writes it if requested."""
    options = parse_run(run_parser(__doc__), arguments)
    torch.set_num_threads(options.threads)
    missing = why_no_kernel("move_boxes", torch.device(options.device))
    lines = [
        *describe_run(options.device),
        f"inputs: float32, {IMAGES} images",
        f"ours: {f'the twin. {missing}' if missing else 'the compiled op'}",
    ]
    rows = [row for name in SIZES for row in measure(name, options)]
    publish("move_boxes", lines, [table(["case", "pass", *VERSUS_COLUMNS], rows)], options)


if __name__ == "__main__":
    main()
