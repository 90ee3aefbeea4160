#!/usr/bin/env python
"""A model, and no measurement, of a training on many GPUs: from the operations and the bytes that
are counted here, and a rate and two bandwidths that are assumed.

python benchmarks/many_gpus.py --write
python benchmarks/many_gpus.py --rate 120 --inside 300 --between 40 --images 1

With S bytes of weights (4 a parameter), L bytes of those that are learned, n processes:

- a step computes images x operations / rate;
- DDP sends 2 L (n - 1) / n from each process to its neighbour (one all-reduce of the gradients),
  FSDP2 (2 S + L) (n - 1) / n (the weights are gathered for the forward and for the backward pass,
  the gradients scattered), at the bandwidth inside a host, or between hosts where there are more;
- the exchange hides behind the computing as a whole (the shorter time of a step), or not at all;
- a process holds 2 S + 3 L bytes (weights, moving average; gradients, two moments of AdamW), under
  FSDP2 an n-th of them, and whole weights of what belongs to no unit and of the largest unit.
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from counted_step import count_operations
from report import describe_run, parse_run, publish, run_parser, table
from torch import nn
from train_step_sides import draw_batch, ours

from hdetr_d2.engine.fsdp2 import units

RECIPES = (
    "hdetr/h_deformable_detr_r50_12ep.py",
    "hdetr/h_deformable_detr_swin_large_12ep.py",
    "projects/co_detr/configs/co_dino_5scale_vit_large_12ep.py",
)
SMOKE_RECIPES = ("quickstart/deformable_detr_shapes.py",)
HEIGHT, WIDTH = 800, 1344
MIN_PARAMETERS = 100_000  # of a unit, the default
COUNTED = ("recipe", "parameters, M", "learned, M", "forward, TFLOP", "with the backward", "ratio")
COLUMNS = ("recipe", "GPUs", "way", "sent, MiB", "exchange, ms", "step, ms", "images/s")
COLUMNS += ("ratio of one GPU's rate", "state, MiB")
WAYS = ("ddp", "fsdp2")


@dataclass(frozen=True)
class Counted:
    """weights, learned: bytes. whole: bytes that a process must hold at once under FSDP2. forward,
    step: operations for one image, counting a multiply-add as two.
    """

    name: str
    weights: int
    learned: int
    whole: int
    forward: int
    step: int

    @classmethod
    def of(cls, recipe: str, height: int, width: int) -> "Counted":
        model = ours(recipe, draw_batch(1, height, width, targets=1), "cpu").model
        operations = count_operations(model, height, width)
        weights = [*model.parameters()]
        learned = [each for each in weights if each.requires_grad]
        parts = [size(unit.parameters()) for unit in units(model, MIN_PARAMETERS)]
        whole = size(weights) - sum(parts) + max(parts, default=0)
        return cls(Path(recipe).stem, size(weights), size(learned), whole, *operations)

    def sent(self, way: str, gpus: int) -> float:
        """Bytes per step that leave each process."""
        around = 2 * self.learned if way == "ddp" else 2 * self.weights + self.learned
        return around * (gpus - 1) / gpus

    def state(self, way: str, gpus: int) -> float:
        """Bytes held by a process."""
        whole = 2 * self.weights + 3 * self.learned
        return whole if way == "ddp" else whole / gpus + self.whole


def size(parameters: Iterable[nn.Parameter]) -> int:
    return sum(each.numel() * each.element_size() for each in parameters)


def modelled(counted: Counted, options: argparse.Namespace) -> Iterator[list[str]]:
    computing = options.images * counted.step / (options.rate * 1e12)
    for gpus in options.gpus:
        link = options.inside if gpus <= options.host else options.between
        for way in WAYS:
            sent = counted.sent(way, gpus)
            exchange = sent / (link * 1e9)
            bounds = max(computing, exchange), computing + exchange
            rates = [gpus * options.images / each for each in bounds]
            shares = [computing / each for each in bounds]
            yield [
                counted.name,
                str(gpus),
                way,
                f"{sent / 2**20:.0f}",
                f"{1e3 * exchange:.1f}",
                " to ".join(f"{1e3 * each:.0f}" for each in bounds),
                " to ".join(f"{each:.0f}" for each in reversed(rates)),
                " to ".join(f"{each:.2f}" for each in reversed(shares)),
                f"{counted.state(way, gpus) / 2**20:.0f}",
            ]


def counted_cells(every: Sequence[Counted]) -> Iterator[list[str]]:
    for each in every:
        learned, parameters = (f"{part / 4e6:.1f}" for part in (each.learned, each.weights))
        operations = (f"{part / 1e12:.3f}" for part in (each.forward, each.step))
        yield [each.name, parameters, learned, *operations, f"{each.step / each.forward:.2f}"]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--recipes", nargs="+", default=RECIPES, help="by their names")
    parser.add_argument("--gpus", type=int, nargs="+", default=[8, 16, 32, 64], help="(8 to 64)")
    parser.add_argument("--host", type=int, default=8, help="GPUs of a host (8)")
    parser.add_argument("--images", type=int, default=2, help="of each GPU in a step (2)")
    parser.add_argument("--rate", type=float, default=60, help="assumed, TFLOP/s of a GPU (60)")
    parser.add_argument("--inside", type=float, default=200, help="a host, assumed, GB/s (200)")
    parser.add_argument("--between", type=float, default=20, help="hosts, assumed, GB/s (20)")
    options = parse_run(parser, arguments)
    options.size = (HEIGHT, WIDTH)
    if options.smoke:
        options.recipes, options.size = SMOKE_RECIPES, (64, 64)
    return options


def main(arguments: list[str] | None = None) -> None:
    """Counts, computes, prints the tables, and writes them if requested."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    height, width = options.size
    counted = [Counted.of(recipe, height, width) for recipe in options.recipes]
    lines = [
        *describe_run("cpu"),
        f"counted: operations of products and convolutions, one image of {height}x{width}; bytes "
        "of float32",
        f"assumed, and not measured: {options.rate:g} TFLOP/s of a GPU, {options.images} images of "
        f"each in a step, {options.inside:g} GB/s inside a host of {options.host} GPUs, "
        f"{options.between:g} GB/s of a GPU between hosts",
    ]
    model = [row for each in counted for row in modelled(each, options)]
    results = [table(COUNTED, [*counted_cells(counted)]), table(COLUMNS, model)]
    publish("many_gpus", lines, results, options)


if __name__ == "__main__":
    main()
