#!/usr/bin/env python
"""Count the targets that the CUDA solver starts one after the other, because another target has one
of their cheapest queries among its own; the rest start at once (csrc/batched_assignment.h). It
needs no GPU: nothing is timed.

python benchmarks/assignment_starts.py --write
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import torch
from assignment_cases import CASES, Problems, draw
from report import describe_run, parse_run, publish, run_parser, table
from torch import Tensor

COUNTED = ("one2one", "one2many", "encoder")
KINDS = ("boxes", "init", "crowd")
TARGETS = (30, 100)


def that_share(cost: Tensor, capacity: int) -> int:
    """How many targets of `cost` `Tensor[G, Q]` want a query that another one also wants."""
    wanted = cost.topk(capacity, largest=False).indices
    wishes = torch.bincount(wanted.flatten(), minlength=cost.shape[1])
    return int((wishes[wanted] > 1).any(1).sum())


def row_of(kind: str, name: str, problems: Problems) -> list[str]:
    (costs,), (capacity,) = problems.costs, problems.capacities
    number, targets, _ = costs.shape
    share = sum(that_share(cost, capacity) for cost in costs)
    return [
        *(kind, name, str(targets), f"{share / number:.1f}"),
        f"{number * targets / share:.1f}" if share else "-",
    ]


def main(arguments: list[str] | None = None) -> None:
    """Counts for all kinds of costs, prints the table, and writes it if requested."""
    options = parse_run(run_parser(__doc__), arguments)
    torch.set_num_threads(options.threads)
    cases = {name: CASES[name].shrunk() if options.smoke else CASES[name] for name in COUNTED}
    header = ["costs", "case", "targets", "one by one", "ratio"]
    rows = [
        row_of(kind, name, draw(case, kind, targets, options.device))
        for kind in KINDS
        for targets in ((3,) if options.smoke else TARGETS)
        for name, case in cases.items()
    ]
    lines = [*describe_run(options.device), "of one problem, mean; counted, not measured"]
    publish("assignment_starts", lines, [table(header, rows)], options)


if __name__ == "__main__":
    main()
