#!/usr/bin/env python
"""Time the batched assignment against a loop over the problems, as matchers in public have it.

python benchmarks/assignment.py --write
python benchmarks/assignment.py --targets 7 30 100 --kinds boxes "equal costs" "equal targets"
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import sys
from collections.abc import Callable

import torch
from assignment_cases import CASES, IMAGES, KINDS, PEERS, Case, Problems, draw
from report import (
    VERSUS_COLUMNS,
    add_run_options,
    add_section,
    bullets,
    describe_run,
    heading,
    parse_run,
    table,
    versus,
)
from timing import Effort, Side, clock_for, compare

from hdetr_d2.ops import batched_assignment
from hdetr_d2.ops.extension import why_no_kernel

OURS = "ours"


def ours(problems: Problems) -> Side:
    return lambda: batched_assignment(problems.costs, problems.counts, problems.capacities)


def find_peers() -> tuple[dict[str, Callable], list[str]]:
    """The peers that are installed, and a line about each that is not."""
    peers, absent = {}, []
    for name, make in PEERS.items():
        try:
            make([])
            peers[name] = make
        except ImportError as error:
            absent.append(f"{name}: not installed ({error})")
    return peers, absent


def measure(case: Case, kind: str, targets: int, options: argparse.Namespace) -> list[list[str]]:
    problems = draw(case, kind, targets, options.device)
    matrices = problems.official()
    sides = {OURS: ours(problems)}
    sides |= {name: make(matrices) for name, make in options.peers.items()}
    effort = Effort(1, 0.0) if options.smoke else Effort(options.rounds)
    times = compare(sides, clock_for(options.device), effort)

    def required(peer: str) -> str:
        asked = case.required and (options.device, kind, targets, peer) == (
            "cpu", "boxes", 30, "SciPy")  # fmt: skip
        return f"at least {case.required:g}" if asked else ""

    return list(versus(times, OURS, required))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["boxes"], help="of costs")
    parser.add_argument("--targets", nargs="+", type=int, default=[7, 30, 100], help="an image has")
    add_run_options(parser)
    return parse_run(parser, arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measure the cases, print the table, and write it where asked."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    options.peers, absent = find_peers()
    missing = why_no_kernel("batched_assignment", torch.device(options.device))
    lines = [
        *describe_run(options.device),
        f"problems: {IMAGES} images; costs are there, in the form that each side takes",
        f"ours: {f'SciPy on the host. {missing}' if missing else 'the compiled op'}",
        *absent,
    ]
    print(bullets(lines), flush=True)
    rows = []
    for name in options.cases:
        case = CASES[name].shrunk() if options.smoke else CASES[name]
        for kind in options.kinds:
            for targets in [3] if options.smoke else options.targets:
                rows += [[name, kind, str(targets), *row]
                         for row in measure(case, kind, targets, options)]  # fmt: skip
                print(f"measured: {name}, {kind}, {targets}", file=sys.stderr, flush=True)
    result = table(["case", "costs", "targets", *VERSUS_COLUMNS], rows)
    print("", result, sep="\n\n")
    if options.write:
        body = f"{bullets(lines)}\n\n{result}"
        add_section(options.write, "assignment", heading(options.device), body)


if __name__ == "__main__":
    main()
