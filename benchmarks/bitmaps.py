#!/usr/bin/env python
"""Time what copy-paste and large-scale jitter do to the masks of an image, against PyTorch.

python benchmarks/bitmaps.py --write
python benchmarks/bitmaps.py --objects 60 --threads 1
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
from collections.abc import Iterator, Mapping

import torch
from report import VERSUS_COLUMNS, describe_run, parse_run, publish, run_parser, table, versus
from timing import Effort, HostClock, Side, compare
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import masks_to_boxes
from torchvision.transforms.v2 import functional as F

from hdetr_d2.data import bitmaps

OURS = "ours"


def discs(count: int, side: int) -> Tensor:
    """Masks bool [count, side, side] of discs of several sizes, a fifth of the side on average."""
    generator = torch.Generator().manual_seed(0)
    x, y, radius = torch.rand(3, count, 1, 1, generator=generator).unbind()
    grid = (torch.arange(side) + 0.5) / side
    return (grid - x).square() + (grid[:, None] - y).square() < (0.02 + radius / 5).square()


def operations(masks: Tensor) -> Iterator[tuple[str, Mapping[str, Side]]]:
    """The measured operations by name, with their sides."""
    wrapped, size = tv_tensors.Mask(masks), [round(1.5 * side) for side in masks.shape[1:]]
    sides: tuple[tuple[str, Side, Side], ...] = (
        ("pixels of each", lambda: bitmaps.areas(masks), lambda: masks.flatten(1).sum(1)),
        ("is it empty?", lambda: bitmaps.any_of(masks, 1, 2), lambda: masks.flatten(1).any(1)),
        ("union", lambda: bitmaps.any_of(masks, 0), lambda: masks.any(0)),
        ("boxes", lambda: bitmaps.tight_boxes(masks), lambda: masks_to_boxes(masks)),
        ("resize", lambda: bitmaps.resize(masks, size), lambda: F.resize(wrapped, size)),
    )
    for name, ours, theirs in sides:
        yield name, {OURS: ours, "PyTorch": theirs}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[7, 30], help="masks (7, 30)")
    return parse_run(parser, arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases, prints the table, and writes it if requested."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    side = 32 if options.smoke else 1024
    lines = [
        *describe_run(options.device),
        f"inputs: bool masks of {side} x {side} in the memory of the CPU",
        "PyTorch: `sum`, `any`, torchvision's `masks_to_boxes` and `resize`",
    ]
    effort = Effort(1, 0.0) if options.smoke else Effort(options.rounds)
    rows = []
    for count in options.objects:
        for name, sides in operations(discs(count, side)):
            times = compare(sides, HostClock(), effort)
            rows += [[str(count), name, *row] for row in versus(times, OURS, lambda peer: "")]
    publish("bitmaps", lines, [table(["masks", "operation", *VERSUS_COLUMNS], rows)], options)


if __name__ == "__main__":
    main()
