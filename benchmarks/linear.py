#!/usr/bin/env python
"""Time linear layers, forward and backward.

python benchmarks/linear.py --write
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
from collections.abc import Mapping

import torch
import torch.nn.functional as F
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
from timing import Side, learn

from hdetr_d2.ops import linear

OURS, PYTORCH = "ours", "PyTorch's"
# Rows, input and output channels: an encoder's projections and feed-forward network for an image of
# 480x640, those of a decoder with a branch, the class head.
SIZES: Mapping[str, tuple[int, int, int]] = {
    "projection": (6380, 256, 256),
    "feed-forward, up": (6380, 256, 1024),
    "feed-forward, down": (6380, 1024, 256),
    "1800 queries": (1800, 256, 256),
    "300 queries": (300, 256, 256),
    "class head": (300, 256, 91),
}


def cases(options: argparse.Namespace) -> dict[str, Mapping[str, Side]]:
    found: dict[str, Mapping[str, Side]] = {}
    for name, (rows, width, outputs) in SIZES.items():
        x = torch.randn(8 if options.smoke else rows, width, device=options.device)
        weight, bias = torch.randn(outputs, width).to(x), torch.randn(outputs).to(x)
        found[name] = {
            OURS: learn(linear, x, weight, bias),
            PYTORCH: learn(F.linear, x, weight, bias),
        }
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases, prints the table, and writes it if requested."""
    options = parse_run(run_parser(__doc__), arguments)
    torch.set_num_threads(options.threads)
    rows = []
    for name, sides in cases(options).items():
        times = time_sides(sides, options)
        rows += [[name, *row] for row in versus(times, OURS, lambda peer: "")]
    lines = [*describe_run(options.device), "inputs: float32"]
    publish("linear", lines, [table(["case", *VERSUS_COLUMNS], rows)], options)


if __name__ == "__main__":
    main()
