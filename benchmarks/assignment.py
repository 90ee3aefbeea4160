#!/usr/bin/env python
"""Time the batched assignment against a loop over the problems, as matchers in public have it.

python benchmarks/assignment.py --write
python benchmarks/assignment.py --targets 7 30 100 --kinds boxes crowd "equal targets"
python benchmarks/assignment.py --device cuda
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import sys
from collections.abc import Mapping

import torch
from assignment_cases import CASES, IMAGES, KINDS, Case, Problems, draw
from assignment_peers import BATCHED, OURS_ON_HOST, SCIPY, Peers, discover
from report import (
    VERSUS_COLUMNS,
    bullets,
    describe_run,
    parse_run,
    publish,
    run_parser,
    table,
    time_sides,
    versus,
)
from timing import Side

from hdetr_d2.ops import batched_assignment
from hdetr_d2.ops.extension import why_no_kernel

OURS = "ours"
# For costs of boxes, by device, case, targets and peer: the required ratio, or our required time.
REQUIRED: Mapping[tuple[str, str, int, str], str] = {
    ("cpu", "one2one", 30, SCIPY): "at least 12",
    ("cpu", "one2many", 30, SCIPY): "at least 60",
    ("cpu", "encoder", 30, SCIPY): "at least 20",
    ("cpu", "step", 30, SCIPY): "at least 45",
    ("cuda", "step", 30, OURS_ON_HOST): "ours at most 0.15 ms",
    ("cuda", "step", 100, OURS_ON_HOST): "ours at most 0.6 ms",
    ("cuda", "batch208, 300x100", 100, BATCHED): "at least 3",
    ("cuda", "batch208, 300x300", 300, BATCHED): "at least 3",
    ("cuda", "batch208, 300x600", 300, BATCHED): "at least 3",
}


def ours(problems: Problems) -> Side:
    return lambda: batched_assignment(problems.costs, problems.counts, problems.capacities)


def make_sides(peers: Peers, problems: Problems) -> tuple[dict[str, Side], list[str]]:
    """Our side and the peers for these problems, and a line about each other peer."""
    sides, left_out = {OURS: ours(problems)}, []
    for name, make in peers.items():
        try:
            sides[name] = make(problems)
        except NotImplementedError as error:
            left_out.append(f"without {name}: {error}")
    return sides, left_out


def measure(
    name: str, kind: str, targets: int, options: argparse.Namespace
) -> tuple[list[list[str]], list[str]]:
    """The rows of a case, and notes."""
    case = CASES[name].shrunk() if options.smoke else CASES[name]
    problems = draw(case, kind, targets, options.device)
    sides, left_out = make_sides(options.peers, problems)
    times = time_sides(sides, options)
    print(f"measured: {name}, {kind}, {targets}", file=sys.stderr, flush=True)

    def required(peer: str) -> str:
        asked = REQUIRED.get((options.device, name, targets, peer), "")
        return asked if kind == "boxes" else ""

    rows = [[name, kind, str(targets), *row] for row in versus(times, OURS, required)]
    return rows, [f"{name}, {kind}, {targets}, {note}" for note in left_out]


def target_counts(case: Case, options: argparse.Namespace) -> list[int]:
    """How many targets an image has, one value after the other."""
    if options.smoke:
        case = case.shrunk()
    return options.targets if case.targets is None else [case.targets]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["boxes"], help="of costs")
    parser.add_argument("--targets", nargs="+", type=int, default=[7, 30, 100], help="an image has")
    return parse_run(parser, arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measures the cases, prints the table, and writes it if requested."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    options.peers, absent = discover(options.device)
    missing = why_no_kernel("batched_assignment", torch.device(options.device))
    lines = [
        *describe_run(options.device),
        f"problems: {IMAGES} images; costs are there, in the form that each side takes",
        f"ours: {f'solved on the host. {missing}' if missing else 'the compiled op'}",
        *absent,
    ]
    rows, notes = [], []
    for name in options.cases:
        for kind in options.kinds:
            for targets in target_counts(CASES[name], options):
                more_rows, more_notes = measure(name, kind, targets, options)
                rows += more_rows
                notes += more_notes
    results = [table(["case", "costs", "targets", *VERSUS_COLUMNS], rows)]
    if notes:
        results.append(bullets(notes))
    publish("assignment", lines, results, options)


if __name__ == "__main__":
    main()
