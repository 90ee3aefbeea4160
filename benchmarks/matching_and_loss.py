#!/usr/bin/env python
"""Time the matching and the losses of a training step of H-Deformable-DETR.

python benchmarks/matching_and_loss.py
python benchmarks/matching_and_loss.py --official ../H-Deformable-DETR --write
python benchmarks/matching_and_loss.py --targets 30 --profile
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from matching_and_loss_cases import CLASSES, GROUPS, IMAGES, SMOKE_GROUPS, draw_step
from matching_and_loss_official import load_official
from matching_and_loss_published import published
from matching_and_loss_sides import Contender, ours
from official import add_official_option, load_peer
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
from torch.profiler import ProfilerActivity, profile

from hdetr_d2.ops.extension import why_no_kernel
from hdetr_d2.structures import GroupOutput

OURS, PUBLISHED, OFFICIAL = "ours", "published expressions", "H-Deformable-DETR"
PASSES: Mapping[str, Callable[[Contender], Side]] = {
    "forward": lambda contender: contender.forward,
    "forward + backward": lambda contender: contender.forward_and_backward,
}
# By pass and targets, relative to the official code on a CPU.
REQUIRED: Mapping[tuple[str, int], float] = {
    **{("forward", targets): 4 for targets in (7, 30, 100)},
    ("forward + backward", 7): 3,
    ("forward + backward", 30): 4,
    ("forward + backward", 100): 8,
}
TOLERANCE = 1e-4  # relative, of every loss

Make = Callable[[Sequence[GroupOutput]], Contender]


def check_losses(contenders: Mapping[str, Contender]) -> None:
    """Ends the run if the peers' losses differ from ours."""
    own = {name: loss.item() for name, loss in contenders[OURS].losses().items()}
    for peer, contender in contenders.items():
        theirs = {name: loss.item() for name, loss in contender.losses().items()}
        if set(theirs) != set(own):
            sys.exit(f"{peer} has other losses than we: {sorted(set(theirs) ^ set(own))}.")
        for name, loss in own.items():
            if not abs(theirs[name] - loss) <= TOLERANCE * abs(loss):
                sys.exit(f"{name} is {loss:.6g}, but {theirs[name]:.6g} in {peer}.")


def required(device: str, what: str, targets: int, peer: str) -> str:
    ratio = REQUIRED.get((what, targets)) if (device, peer) == ("cpu", OFFICIAL) else None
    return f"at least {ratio:g}" if ratio else ""


def measure(
    targets: int, makers: Mapping[str, Make], options: argparse.Namespace
) -> list[list[str]]:
    """The rows of both passes."""
    groups = SMOKE_GROUPS if options.smoke else GROUPS
    outputs = draw_step(groups, targets, options.device)
    contenders = {name: make(outputs) for name, make in makers.items()}
    check_losses(contenders)
    if options.profile:
        print_profile(contenders[OURS], options)
    rows = []
    for what, side_of in PASSES.items():
        sides = {name: side_of(contender) for name, contender in contenders.items()}
        times = time_sides(sides, options)
        asked = partial(required, options.device, what, targets)
        rows += [[what, str(targets), *row] for row in versus(times, OURS, asked)]
        print(f"measured: {what}, {targets}", file=sys.stderr, flush=True)
    return rows


def print_profile(contender: Contender, options: argparse.Namespace) -> None:
    """Prints where the time of a forward and backward goes: "match", "loss", "backward" and the
    operators.
    """
    contender.forward_and_backward()  # the first call may compile
    activities = [ProfilerActivity.CPU]
    activities += [ProfilerActivity.CUDA] * (options.device == "cuda")
    with profile(activities=activities) as found:
        contender.forward_and_backward()
    by = f"self_{options.device}_time_total"
    print(found.key_averages().table(sort_by=by, row_limit=25, max_name_column_width=40))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--targets", nargs="+", type=int, default=[7, 30, 100], help="an image has")
    add_official_option(parser)
    parser.add_argument("--profile", action="store_true", help="print where our time goes, too")
    options = parse_run(parser, arguments)
    options.makers = {OURS: ours, PUBLISHED: published}
    if peer := load_peer(parser, options.official, load_official):
        options.makers[OFFICIAL] = peer
    return options


def main(arguments: list[str] | None = None) -> None:
    """Measures both passes, prints the table, and writes it if requested."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    missing = why_no_kernel("batched_assignment", torch.device(options.device))
    layers, queries = (
        [getattr(g, name) for g in GROUPS.values()] for name in ("layers", "queries")
    )
    lines = [
        *describe_run(options.device),
        f"step: {IMAGES} images, {CLASSES} classes, {queries} queries in {layers} layers; "
        f"all losses of all sides agree to {TOLERANCE:g}",
        f"ours: {missing or 'with compiled ops'}",
    ]
    rows = [
        row
        for targets in ([3] if options.smoke else options.targets)
        for row in measure(targets, options.makers, options)
    ]
    result = table(["pass", "targets", *VERSUS_COLUMNS], rows)
    publish("matching_and_loss", lines, [result], options)


if __name__ == "__main__":
    main()
