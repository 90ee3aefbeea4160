#!/usr/bin/env python
"""Time the matching of a training step, costs and assignments, against what is in public.

python benchmarks/matching.py --write
python benchmarks/matching.py --device cuda --targets 30 100
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence

import torch
from assignment_cases import IMAGES
from matching_cost import official, ours
from prediction_cases import CLASSES, GROUPS, Step, draw_case
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
from scipy.optimize import linear_sum_assignment
from timing import Side
from torch import Tensor

from hdetr_d2.ops import batched_assignment, matching_cost
from hdetr_d2.ops.extension import why_no_kernel

OURS, OFFICIAL = "ours", "official expressions, SciPy"
CAPACITIES = [group.capacity for group in GROUPS.values()]
# By device and targets per image.
REQUIRED: Mapping[tuple[str, int], str] = {
    ("cuda", 30): "ours at most 0.15 ms",
    ("cuda", 100): "ours at most 0.6 ms",
}


def in_one_call(steps: Sequence[Step]) -> Side:
    """The costs of each group, then all problems at once: `Tensor[P, Q]` per group."""
    costs = [ours(step, matching_cost) for step in steps]
    targets = steps[0].target_labels
    counts = torch.full((IMAGES,), targets.shape[1], device=targets.device)
    return lambda: batched_assignment([cost()[0] for cost in costs], counts, CAPACITIES)


def layer_by_layer(steps: Sequence[Step]) -> Side:
    """The costs of a layer are copied to the host, where SciPy solves one image after the other:
    pairs of queries and repeated targets.
    """
    costs = [official(step) for step in steps]

    def solve(cost: Tensor, capacity: int) -> list:
        images = cost.unflatten(0, (IMAGES, -1)).unflatten(2, (IMAGES, -1)).cpu()
        alone = (images[i, :, i].repeat(1, capacity).numpy() for i in range(IMAGES))
        return [linear_sum_assignment(each) for each in alone]

    return lambda: [
        solve(layer, capacity)
        for cost, capacity in zip(costs, CAPACITIES, strict=True)
        for layer in cost()
    ]


def measure(targets: int, options: argparse.Namespace) -> Iterator[list[str]]:
    """The rows for this number of targets per image."""
    steps = [draw_case(name, targets, options) for name in GROUPS]
    sides = {OURS: in_one_call(steps), OFFICIAL: layer_by_layer(steps)}
    asked = REQUIRED.get((options.device, targets), "")
    for row in versus(time_sides(sides, options), OURS, lambda peer: asked):
        yield [str(targets), *row]
    print(f"measured: {targets}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measures the matching, prints the table, and writes it if requested."""
    parser = run_parser(__doc__)
    parser.add_argument("--dtype", choices=("float32", "float16", "bfloat16"), default="float32")
    parser.add_argument("--targets", nargs="+", type=int, default=[7, 30, 100], help="an image has")
    options = parse_run(parser, arguments)
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    missing = why_no_kernel("matching_cost", device) or why_no_kernel("batched_assignment", device)
    lines = [
        *describe_run(options.device),
        f"inputs: {options.dtype} logits of {CLASSES} classes, of all groups; focal cost",
        f"ours: {missing or 'the compiled ops'}",
    ]
    counts = [3] if options.smoke else options.targets
    rows = [row for targets in counts for row in measure(targets, options)]
    publish("matching", lines, [table(["targets", *VERSUS_COLUMNS], rows)], options)


if __name__ == "__main__":
    main()
