#!/usr/bin/env python
"""Time a whole training step of recipes: forward, matching, losses, backward, clipping, update.

python benchmarks/train_step.py
python benchmarks/train_step.py --official ../H-Deformable-DETR --write
python benchmarks/train_step.py --device cuda --images 2 --size 800 1333 --write
python benchmarks/train_step.py --one-by-one --recipes BASE RECIPE ...
python benchmarks/train_step.py --bfloat16 --official ../H-Deformable-DETR
python benchmarks/train_step.py --against COMMIT --recipes RECIPE ...
python benchmarks/train_step.py --transformers --set model.encoder.sizes.dropout=0
    --recipes deformable_detr/deformable_detr_two_stage_r50_50ep.py
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch
from against import Environment, add_against_option, again, built, serve, served
from inference_peers import TRANSFORMERS
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
from timing import Side, Times
from torch import nn
from train_step_costs import Costs, measure_costs, product_speed
from train_step_official import ARGUMENTS, Official
from train_step_sides import CLASSES, Batch, Step, draw_batch, one_by_one, ours
from train_step_transformers import RECIPES as OF_TRANSFORMERS
from train_step_transformers import transformers_step

from hdetr_d2.ops.extension import why_no_kernel

RECIPES = tuple(ARGUMENTS)
SMOKE_RECIPES = ("quickstart/deformable_detr_shapes.py",)
OURS, ONE_BY_ONE, OFFICIAL = "ours", "ours, a decoder pass a group", "H-Deformable-DETR"
# Ours in lower precision, and the options for it.
LOWER = {
    "ours, forward in bfloat16": "train.amp.enabled=true",
    "ours, products in bfloat16": "train.matmul_precision=medium",
}
# Theirs divided by ours, by recipe.
REQUIRED: Mapping[tuple[str, str], Mapping[str, float]] = {
    ("cpu", OFFICIAL): dict(zip(ARGUMENTS, (3.2, 4.0), strict=True)),
    ("cuda", OFFICIAL): dict.fromkeys(ARGUMENTS, 1.3),
    ("cpu", TRANSFORMERS): dict.fromkeys(OF_TRANSFORMERS, 2.2),
}
BRANCH = {"cpu": 1.12, "cuda": 1.07}  # a recipe relative to the first one, by device
TOLERANCE = 1e-4  # relative, of the sum of the losses

AGAINST_FIRST = ("recipe", "side", "ms", "ratio to the first", "required", "cold: ratio")
COSTS = ("recipe", "side", "peak memory, MB", "ratio to the first", "kept for the backward, MB")
COSTS += ("ratio to ours", "operators of the forward", "of the backward", "ratio to ours")
COSTS += ("read and written, MB", "ratio to ours")
COSTS += ("products, billions", "ratio to the first")

Key = tuple[str, str]  # a recipe, and whose it is


def build_sides(options: argparse.Namespace, batch: Batch) -> dict[Key, Step]:
    """The steps of every recipe, after checking that the sums of losses agree."""
    sides: dict[Key, Step] = {}
    for recipe in options.recipes:
        own = sides[recipe, OURS] = step_alone((recipe, OURS), options, batch)
        if options.one_by_one:
            apart = step_alone((recipe, ONE_BY_ONE), options, batch)
            apart.model.load_state_dict(own.model.state_dict())
            _check(recipe, own, apart, ONE_BY_ONE)
            sides[recipe, ONE_BY_ONE] = apart
        for whose in LOWER if options.bfloat16 else ():
            sides[recipe, whose] = step_alone((recipe, whose), options, batch)
        if options.peer and recipe in ARGUMENTS:
            theirs = sides[recipe, OFFICIAL] = step_alone((recipe, OFFICIAL), options, batch)
            options.peer.copy_weights(recipe, theirs, own)
            _check(recipe, own, theirs, OFFICIAL)
        if options.transformers and recipe in OF_TRANSFORMERS:
            sides[recipe, TRANSFORMERS] = step_alone((recipe, TRANSFORMERS), options, batch)
    return sides


def _check(recipe: str, own: Step, theirs: Step, whose: str) -> None:
    """Ends the run if the losses of the two models with the same weights differ."""
    a, b = _total(own), _total(theirs)
    if not abs(a - b) <= TOLERANCE * abs(b):
        sys.exit(f"{recipe}: our losses sum up to {a:.6g}, those of {whose} to {b:.6g}.")


def _total(step: Step) -> float:
    torch.manual_seed(0)  # for schemes that draw
    return step.total().item()


def of_recipe(times: Mapping[Key, Times], recipe: str) -> dict[str, Times]:
    return {whose: found for (name, whose), found in times.items() if name == recipe}


def against_ours(times: Mapping[Key, Times], options: argparse.Namespace) -> list[list[str]]:
    """A row for each other side of a recipe."""
    rows = []
    for recipe in options.recipes:
        found = versus(of_recipe(times, recipe), OURS, partial(_required, options.device, recipe))
        rows += [[Path(recipe).stem, *row] for row in found]
    return rows


def _required(device: str, recipe: str, whose: str) -> str:
    ratio = REQUIRED.get((device, whose), {}).get(recipe)
    return f"at least {ratio:g}" if ratio else ""


def against_first(times: Mapping[Key, Times], device: str) -> list[list[str]]:
    """The time of each step relative to that of the first recipe on the same side."""
    first = next(iter(times))[0]
    asked = f"at most {BRANCH[device]:g}" if device in BRANCH else ""
    rows = []
    for (recipe, whose), found in times.items():
        base = first, whose
        ratio = found.warm / times[base].warm
        must = asked if (recipe, whose) != base and whose == OURS else ""
        cold = f"{found.cold / times[base].cold:.2f}"
        rows.append(
            [Path(recipe).stem, whose, milliseconds(found.warm), f"{ratio:.2f}", must, cold]
        )
    return rows


def compared_costs(costs: Mapping[Key, Costs]) -> list[list[str]]:
    """A row for each side of each recipe."""
    first = next(iter(costs))[0]
    rows = []
    for (recipe, whose), own in costs.items():
        peak = own.peak_mb / costs[first, whose].peak_mb
        kept = own.kept_mb / costs[recipe, OURS].kept_mb
        numbers = f"{own.peak_mb:.0f}", f"{peak:.2f}", f"{own.kept_mb:.0f}", f"{kept:.2f}"
        base = costs[recipe, OURS]
        all_of_them = (own.forward + own.backward) / (base.forward + base.backward)
        operators = str(own.forward), str(own.backward), f"{all_of_them:.2f}"
        traffic = f"{own.traffic_mb:.0f}", f"{own.traffic_mb / base.traffic_mb:.2f}"
        products = f"{own.billions:.0f}", f"{own.billions / costs[first, whose].billions:.2f}"
        rows.append([Path(recipe).stem, whose, *numbers, *operators, *traffic, *products])
    return rows


def costs_alone(side: Key, environment: Environment | None) -> Costs:
    """Measured in a process that runs nothing else, in a separate environment or in this one."""
    recipe, whose = side
    command = again("--costs-of", recipe, OURS if environment else whose)
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Costs.from_json(run.stdout.splitlines()[-1])  # theirs prints more


def step_alone(side: Sequence[str], options: argparse.Namespace, batch: Batch) -> Step:
    """Measures a recipe and a side in this process."""
    recipe, whose = side
    if whose == OFFICIAL:
        return options.peer.step(recipe, batch)
    lower = [LOWER[whose]] if whose in LOWER else []
    step = ours(recipe, batch, options.device, [*options.set, *lower])
    if whose == TRANSFORMERS:
        return transformers_step(batch, _dropout_of(step.model), options.device)
    return one_by_one(step) if whose == ONE_BY_ONE else step


def _dropout_of(model: nn.Module) -> float:
    return max(each.p for each in model.modules() if isinstance(each, nn.Dropout))


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--recipes", nargs="+", default=RECIPES, help="the first is the base")
    parser.add_argument("--images", type=int, default=1, help="of the batch (1)")
    parser.add_argument("--size", nargs=2, type=int, default=(480, 640), metavar=("H", "W"))
    parser.add_argument("--targets", type=int, default=7, help="of each image (7)")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="of our recipes")
    add_official_option(parser)
    parser.add_argument(
        "--transformers",
        action="store_true",
        help="beside theirs of Hugging Face, as dropout is set",
    )
    parser.add_argument(
        "--one-by-one", action="store_true", help="also with a decoder pass for each query group"
    )
    parser.add_argument(
        "--bfloat16", action="store_true", help="also ours in bfloat16, by either option"
    )
    add_against_option(parser)
    parser.add_argument("--costs-of", nargs=2, metavar=("RECIPE", "SIDE"), help=argparse.SUPPRESS)
    options = parse_run(parser, arguments)
    if options.smoke:
        options.recipes, options.size = SMOKE_RECIPES, (64, 64)
    options.peer = load_peer(parser, options.official, partial(Official, device=options.device))
    return options


def main(arguments: list[str] | None = None) -> None:
    """Measures the steps, prints the tables, and writes them if requested."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    batch = draw_batch(options.images, *options.size, options.targets)
    if options.costs_of:
        step = step_alone(options.costs_of, options, batch)
        print(measure_costs(step, options.device).to_json())
    elif options.serve:
        serve(step_alone(options.serve, options, batch))
    else:
        measure(options, batch)


def measure(options: argparse.Namespace, batch: Batch) -> None:
    with ExitStack() as stack:
        other = stack.enter_context(built(options.against)) if options.against else None
        sides: dict[Key, Side] = {}
        for (recipe, whose), step in build_sides(options, batch).items():
            sides[recipe, whose] = step
            if other and whose == OURS:
                command = again("--serve", recipe, OURS)
                sides[recipe, options.against] = stack.enter_context(served(command, other))
        times = time_sides(sides, options)
        environments = {side: other if side[1] == options.against else None for side in sides}
        costs = {side: costs_alone(side, where) for side, where in environments.items()}
    publish("train_step", describe(options), tables(times, costs, options), options)


def describe(options: argparse.Namespace) -> list[str]:
    height, width = options.size
    lines = [
        *describe_run(options.device),
        f"batch: {options.images} of {height}x{width}, {options.targets} targets each, {CLASSES} "
        "classes, float32, random weights",
        f"ours: {why_no_kernel('ms_deform_attn', torch.device(options.device)) or 'compiled ops'}",
    ]
    if options.device == "cpu":
        lines.append(f"one large product of float32: {product_speed():.0f} billion operations/s")
    if options.peer:
        lines.append(f"{OFFICIAL}: {options.peer.attention}; losses agree to {TOLERANCE:g}")
    return lines


def tables(
    times: Mapping[Key, Times], costs: Mapping[Key, Costs], options: argparse.Namespace
) -> list[str]:
    found = [table(AGAINST_FIRST, against_first(times, options.device))]
    if others := against_ours(times, options):
        found.append(table(["recipe", *VERSUS_COLUMNS], others))
    return [*found, table(COSTS, compared_costs(costs))]


if __name__ == "__main__":
    main()
