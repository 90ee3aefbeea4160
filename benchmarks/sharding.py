#!/usr/bin/env python
"""What a process holds of the weights, the gradients, the optimizer and the moving average of a
recipe, what the processes tell each other in a step, and how long it takes: in one process, under
DDP and under FSDP2.

python benchmarks/sharding.py --write
python benchmarks/sharding.py --recipes dino/dino_swin_large_4scale_12ep.py --processes 1 2 4
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path

import torch
from detectron2.utils import comm
from exchanged import Exchanged, sent_in_ring
from report import describe_run, parse_run, publish, run_parser, table
from train_step_sides import draw_batch, ours

from hdetr_d2.engine.ddp import DDP
from hdetr_d2.engine.device import choose_device
from hdetr_d2.engine.ema import ModelEma
from hdetr_d2.engine.fsdp2 import FSDP2
from hdetr_d2.engine.launch import launch
from hdetr_d2.engine.parallel import Parallel
from hdetr_d2.engine.trainer import peak_memory
from hdetr_d2.utils.distributed import held_bytes

RECIPES = ("hdetr/h_deformable_detr_r50_12ep.py",)
SMOKE_RECIPES = ("quickstart/deformable_detr_shapes.py",)
KINDS = ("weights", "gradients", "optimizer", "average")
ONE, WAYS = "one process", ("ddp", "fsdp2")
COLUMNS = ("recipe", "processes", "way", *(f"{kind}, MiB" for kind in KINDS), "sum", "ratio")
COLUMNS += ("most memory, MiB", "exchanged, MiB", "sent in a ring, MiB", "s a step")


@dataclass(frozen=True)
class Held:
    """By the first process: bytes by kind, once all exist; bytes exchanged in a step, by
    `exchanged.ROUNDS`; peak memory, in MB; seconds per step, the best of all rounds.
    """

    bytes: Mapping[str, int]
    exchanged: Mapping[str, int]
    peak: float
    seconds: float

    @property
    def total(self) -> int:
        return sum(self.bytes.values())


class Trained:
    """A recipe in one of the processes that train it."""

    def __init__(self, recipe: str, size: int, way: str, where: torch.device) -> None:
        self.parallel = {
            ONE: Parallel,
            "ddp": DDP,
            "fsdp2": lambda: FSDP2(device=where),
        }[way]()
        torch.manual_seed(0)
        batch = draw_batch(1, size, size, targets=5)
        step, inputs = ours(recipe, batch, str(where)), batch.as_inputs()
        self.ema = ModelEma(step.model, decay=0.9998)
        self.parallel.shard(step.model, step.optimizer)
        self.parallel.shard(self.ema.module)
        wrapped = self.parallel.wrap(step.model)
        self.step = replace(step, losses=lambda: wrapped(inputs))
        self.learned = [each for group in step.optimizer.param_groups for each in group["params"]]

    def add_gradients(self) -> None:
        self.step.total().backward()
        self.parallel.finish_gradients()

    def update(self) -> None:
        self.parallel.clip(self.learned, self.step.max_norm)
        self.step.optimizer.step()
        self.step.optimizer.zero_grad(set_to_none=True)
        self.ema.update_parameters(self.step.model)

    def bytes(self) -> dict[str, int]:
        """By kind, between the two halves of a step."""
        state = [each for of in self.step.optimizer.state.values() for each in of.values()]
        models = (
            [*each.parameters(), *each.buffers()] for each in (self.step.model, self.ema.module)
        )
        weights, average = models
        parts = (weights, [each.grad for each in self.learned], state, average)
        return dict(zip(KINDS, map(held_bytes, parts), strict=True))


def measure(
    file: str, recipe: str, size: int, way: str, device: str, threads: int, rounds: int
) -> None:
    """Steps of this process together with the others; the results of the first one are written to
    `file`.
    """
    torch.set_num_threads(threads)
    where = choose_device(device, comm.get_local_rank())
    trained = Trained(recipe, size, way, where)
    trained.add_gradients()
    trained.update()  # the optimizer has no state before
    with Exchanged() as exchanged:
        trained.add_gradients()
        held = trained.bytes()
        trained.update()
    peak = peak_memory(where)
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        trained.add_gradients()
        trained.update()
        if where.type == "cuda":
            torch.cuda.synchronize(where)
        seconds.append(time.perf_counter() - start)
    if comm.is_main_process():
        found = Held(held, dict(exchanged.bytes), peak, min(seconds))
        Path(file).write_text(json.dumps(asdict(found)), encoding="utf-8")


def run(recipe: str, processes: int, way: str, options: argparse.Namespace) -> Held:
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/held.json"
        given = (file, recipe, options.size, way, options.device, options.threads, options.rounds)
        launch(measure, *given, device=options.device, num_gpus=processes)
        return Held(**json.loads(Path(file).read_text(encoding="utf-8")))


def rows(recipe: str, options: argparse.Namespace) -> Iterator[list[str]]:
    """A row for one process, and for each strategy with several. Ratios are relative to what each
    process holds under DDP.
    """
    several = [each for each in options.processes if each > 1]
    runs = [(1, ONE)] if 1 in options.processes else []
    first = None
    for processes, way in [*runs, *product(several, options.ways)]:
        found = run(recipe, processes, way, options)
        first = first or found
        yield [
            Path(recipe).stem,
            str(processes),
            way,
            *(f"{found.bytes[kind] / 2**20:.0f}" for kind in KINDS),
            f"{found.total / 2**20:.0f}",
            f"{found.total / first.total:.3f}",
            f"{found.peak:.0f}",
            f"{sum(found.exchanged.values()) / 2**20:.1f}",
            f"{sent_in_ring(found.exchanged, processes) / 2**20:.1f}",
            f"{found.seconds:.2f}",
        ]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--recipes", nargs="+", default=RECIPES, help="by their names")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4], help="(1, 2, 4)")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS, help="of several ones")
    parser.add_argument("--size", type=int, default=128, help="side of the image in pixels (128)")
    options = parse_run(parser, arguments)
    if options.smoke:
        options.recipes, options.processes, options.rounds = SMOKE_RECIPES, [1, 2], 1
    if options.device == "cuda":
        most = torch.cuda.device_count()
        options.processes = [each for each in options.processes if each <= most]
    return options


def main(arguments: list[str] | None = None) -> None:
    """Measures the recipes, prints the table, and writes it if requested."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    lines = [
        *describe_run(options.device),
        f"inputs: one image of {options.size}x{options.size} in each process",
    ]
    cells = [row for recipe in options.recipes for row in rows(recipe, options)]
    publish("sharding", lines, [table(COLUMNS, cells)], options)


if __name__ == "__main__":
    main()
