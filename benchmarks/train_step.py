#!/usr/bin/env python
"""Time a whole training step of recipes: forward, matching, losses, backward, clipping, update.

python benchmarks/train_step.py
python benchmarks/train_step.py --official ../H-Deformable-DETR --write
python benchmarks/train_step.py --device cuda --images 2 --size 800 1333 --write
python benchmarks/train_step.py --one-by-one --recipes BASE RECIPE ...
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import resource
import subprocess
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from official import add_official_option, load_peer
from report import (
    VERSUS_COLUMNS,
    describe_run,
    milliseconds,
    parse_run,
    publish,
    run_parser,
    table,
    time_sides,
    versus,
)
from timing import Times, peak_bytes
from train_step_official import ARGUMENTS, Official
from train_step_sides import CLASSES, Batch, Step, draw_batch, one_by_one, ours

from hdetr_d2.ops.extension import why_no_kernel

RECIPES = tuple(ARGUMENTS)
SMOKE_RECIPES = ("quickstart/deformable_detr_shapes.py",)
OURS, ONE_BY_ONE, OFFICIAL = "ours", "ours, a decoder pass a group", "H-Deformable-DETR"
REQUIRED = {"cpu": 2.0, "cuda": 1.3}  # theirs over ours, by device
BRANCH = {"cuda": 1.07}  # a recipe over the first one, by device
TOLERANCE = 1e-4  # relative, of the sum of the losses

AGAINST_FIRST = ("recipe", "side", "ms", "ratio to the first", "required", "cold: ratio")
AGAINST_FIRST += ("peak memory, MB", "memory: ratio")

Sides = dict[tuple[str, str], Step]  # by recipe, and whose it is


def build_sides(options: argparse.Namespace, batch: Batch) -> Sides:
    """The steps of every recipe, whose sums of losses agree."""
    sides: Sides = {}
    for recipe in options.recipes:
        own = sides[recipe, OURS] = ours(recipe, batch, options.device)
        if options.one_by_one:
            apart = one_by_one(ours(recipe, batch, options.device))
            apart.model.load_state_dict(own.model.state_dict())
            _check(recipe, own, apart, ONE_BY_ONE)
            sides[recipe, ONE_BY_ONE] = apart
        if options.peer and recipe in ARGUMENTS:
            theirs = sides[recipe, OFFICIAL] = options.peer.step(recipe, batch)
            options.peer.copy_weights(recipe, theirs, own)
            _check(recipe, own, theirs, OFFICIAL)
    return sides


def _check(recipe: str, own: Step, theirs: Step, whose: str) -> None:
    """Ends the run if the losses of the two models with the same weights differ."""
    a, b = _total(own), _total(theirs)
    if not abs(a - b) <= TOLERANCE * abs(b):
        sys.exit(f"{recipe}: our losses sum up to {a:.6g}, those of {whose} to {b:.6g}.")


def _total(step: Step) -> float:
    torch.manual_seed(0)  # of schemes that draw
    return step.total().item()


def of_recipe(times: Mapping[tuple[str, str], Times], recipe: str) -> dict[str, Times]:
    return {whose: found for (name, whose), found in times.items() if name == recipe}


def against_official(
    times: Mapping[tuple[str, str], Times], options: argparse.Namespace
) -> list[list[str]]:
    """A row for each recipe that they have, too."""
    asked = f"at least {REQUIRED[options.device]:g}"
    rows = []
    for recipe in options.recipes:
        found = versus(of_recipe(times, recipe), OURS, lambda _: asked)
        rows += [[Path(recipe).stem, *row] for row in found]
    return rows


def against_first(
    times: Mapping[tuple[str, str], Times], peaks: Mapping[tuple[str, str], float], device: str
) -> list[list[str]]:
    """What each step costs beside that of the first recipe on the same side."""
    first = next(iter(times))[0]
    asked = f"at most {BRANCH[device]:g}" if device in BRANCH else ""
    rows = []
    for (recipe, whose), found in times.items():
        base = first, whose
        ratio = found.warm / times[base].warm
        memory = f"{peaks[recipe, whose]:.0f}", f"{peaks[recipe, whose] / peaks[base]:.2f}"
        must = asked if (recipe, whose) != base and whose == OURS else ""
        cold = f"{found.cold / times[base].cold:.2f}"
        timed = milliseconds(found.warm), f"{ratio:.2f}", must, cold
        rows.append([Path(recipe).stem, whose, *timed, *memory])
    return rows


def peak_mb(side: tuple[str, str], step: Step, options: argparse.Namespace) -> float:
    """The memory of a step: on CUDA what it allocates at most, on the CPU the largest resident size
    of a process that runs nothing else, model and optimizer included.
    """
    if options.device == "cuda":
        return peak_bytes(step) / 2**20
    command = [sys.executable, *sys.argv, "--peak-of", *side]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout.splitlines()[-1])  # theirs prints more


def print_peak(options: argparse.Namespace, batch: Batch) -> None:
    """Runs two steps of one side alone, and prints the largest resident size in MB."""
    recipe, whose = options.peak_of
    if whose == OFFICIAL:
        step = options.peer.step(recipe, batch)
    else:
        step = ours(recipe, batch, options.device)
    if whose == ONE_BY_ONE:
        step = one_by_one(step)
    for _ in range(2):
        step()
    print(largest_resident_mb())


def largest_resident_mb() -> float:
    """Of this process. Linux's `ru_maxrss` counts what the parent had, too."""
    status = Path("/proc/self/status")
    if status.is_file():
        (line,) = (row for row in status.read_text().splitlines() if row.startswith("VmHWM:"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--recipes", nargs="+", default=RECIPES, help="the first is the base")
    parser.add_argument("--images", type=int, default=1, help="of the batch (1)")
    parser.add_argument("--size", nargs=2, type=int, default=(480, 640), metavar=("H", "W"))
    parser.add_argument("--targets", type=int, default=7, help="of each image (7)")
    add_official_option(parser)
    parser.add_argument(
        "--one-by-one", action="store_true", help="also with a decoder pass for each query group"
    )
    parser.add_argument("--peak-of", nargs=2, metavar=("RECIPE", "SIDE"), help=argparse.SUPPRESS)
    options = parse_run(parser, arguments)
    if options.smoke:
        options.recipes, options.size = SMOKE_RECIPES, (64, 64)
    options.peer = load_peer(parser, options.official, partial(Official, device=options.device))
    return options


def main(arguments: list[str] | None = None) -> None:
    """Measure the steps, print the tables, and write them where asked."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    images, (height, width) = options.images, options.size
    batch = draw_batch(images, height, width, options.targets)
    if options.peak_of:
        print_peak(options, batch)
        return
    sides = build_sides(options, batch)
    times = time_sides(sides, options)
    peaks = {side: peak_mb(side, step, options) for side, step in sides.items()}
    lines = [
        *describe_run(options.device),
        f"batch: {images} of {height}x{width}, {options.targets} targets each, {CLASSES} classes, "
        "float32, random weights",
        f"ours: {why_no_kernel('ms_deform_attn', torch.device(options.device)) or 'compiled ops'}",
    ]
    results = [table(AGAINST_FIRST, against_first(times, peaks, options.device))]
    if options.peer:
        lines.append(f"{OFFICIAL}: {options.peer.attention}; losses agree to {TOLERANCE:g}")
        columns = ["recipe", *VERSUS_COLUMNS]
        results.append(table(columns, against_official(times, options)))
    publish("train_step", lines, results, options)


if __name__ == "__main__":
    main()
