#!/usr/bin/env python
"""Bytes that a process holds of the weights, the gradients, the optimizer and the moving average of
a recipe, and the time of a step: in one process, which holds what each one under DDP does, and
under FSDP2.

python benchmarks/sharding.py --write
python benchmarks/sharding.py --recipes dino/dino_swin_large_4scale_12ep.py --processes 1 2 4
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from detectron2.utils import comm
from report import describe_run, parse_run, publish, run_parser, table
from train_step_sides import draw_batch, ours

from hdetr_d2.engine.device import choose_device
from hdetr_d2.engine.ema import ModelEma
from hdetr_d2.engine.fsdp2 import FSDP2
from hdetr_d2.engine.launch import launch
from hdetr_d2.engine.parallel import Parallel
from hdetr_d2.engine.trainer import peak_memory
from hdetr_d2.utils.distributed import held_bytes

RECIPES = ("hdetr/h_deformable_detr_swin_large_12ep.py",)
SMOKE_RECIPES = ("quickstart/deformable_detr_shapes.py",)
KINDS = ("weights", "gradients", "optimizer", "average")


@dataclass(frozen=True)
class Held:
    """By the first process: bytes by their kind, once there are all of them; the most memory it has
    had, in MB; seconds of a step.
    """

    bytes: Mapping[str, int]
    peak: float
    seconds: float

    @property
    def total(self) -> int:
        return sum(self.bytes.values())


def measure(file: str, recipe: str, size: int, device: str, threads: int) -> None:
    """Two steps of this process and the others; what the first one holds is written to `file`."""
    torch.set_num_threads(threads)
    where = choose_device(device, comm.get_local_rank())
    parallel = FSDP2(device=where) if comm.get_world_size() > 1 else Parallel()
    torch.manual_seed(0)
    step = ours(recipe, draw_batch(1, size, size, targets=5), str(where))
    ema = ModelEma(step.model, decay=0.9998)
    parallel.shard(step.model, step.optimizer)
    parallel.shard(ema.module)
    learned = [each for group in step.optimizer.param_groups for each in group["params"]]
    for _ in range(2):  # the optimizer keeps nothing before the first one
        start = time.perf_counter()
        step.total().backward()
        parallel.finish_gradients()
        state = [each for of in step.optimizer.state.values() for each in of.values()]
        models = ([*each.parameters(), *each.buffers()] for each in (step.model, ema.module))
        weights, average = models
        parts = (weights, [each.grad for each in learned], state, average)
        parallel.clip(learned, step.max_norm)
        counts = dict(zip(KINDS, map(held_bytes, parts), strict=True))
        step.optimizer.step()
        step.optimizer.zero_grad(set_to_none=True)
        ema.update_parameters(step.model)
        peak = peak_memory(where)  # waits for the device
        seconds = time.perf_counter() - start
    if comm.is_main_process():
        Path(file).write_text(json.dumps(asdict(Held(counts, peak, seconds))))


def run(recipe: str, processes: int, options: argparse.Namespace) -> Held:
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/held.json"
        given = (file, recipe, options.size, options.device, options.threads)
        launch(measure, *given, device=options.device, num_gpus=processes)
        return Held(**json.loads(Path(file).read_text()))


def rows(recipe: str, counts: Sequence[int], options: argparse.Namespace) -> list[list[str]]:
    """A row for each number of processes; the first number is that of the ratios."""
    found = {count: run(recipe, count, options) for count in counts}
    first = found[counts[0]]
    return [
        [
            Path(recipe).stem,
            str(count),
            *(f"{each.bytes[kind] / 2**20:.0f}" for kind in KINDS),
            f"{each.total / 2**20:.0f}",
            f"{each.total / first.total:.3f}",
            f"{each.peak:.0f}",
            f"{each.seconds:.1f}",
        ]
        for count, each in found.items()
    ]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--recipes", nargs="+", default=RECIPES, help="by their names")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4], help="(1, 2, 4)")
    parser.add_argument("--size", type=int, default=128, help="side of the image in pixels (128)")
    return parse_run(parser, arguments)


def main(arguments: list[str] | None = None) -> None:
    """Measure the recipes, print the table, and write it where asked."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    lines = [*describe_run(options.device), f"inputs: one image of {options.size}x{options.size}"]
    processes = [1, 2] if options.smoke else options.processes
    if options.device == "cuda":
        processes = [each for each in processes if each <= torch.cuda.device_count()]
    cells = [
        row
        for recipe in (SMOKE_RECIPES if options.smoke else options.recipes)
        for row in rows(recipe, processes, options)
    ]
    kinds = [f"{kind}, MiB" for kind in KINDS]
    header = ["recipe", "processes", *kinds, "sum", "ratio", "most memory, MiB", "s a step"]
    publish("sharding", lines, [table(header, cells)], options)


if __name__ == "__main__":
    main()
