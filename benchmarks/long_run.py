#!/usr/bin/env python
"""What becomes of memory, open files and the time of a step in a training of very many steps: its
last tenth against its second one.

python benchmarks/long_run.py --threads 1 --write
python benchmarks/long_run.py --threads 1 --steps 5000

The training is one of the project's own command, in a process of its own, with everything around
the steps: a loading process, logs, TensorBoard, checkpoints and evaluations.
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import math
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from threading import Timer
from typing import Any, NamedTuple

import torch
from processes import Seen, look_at
from report import describe_run, parse_run, publish, run_parser, table
from tiny_training import finish, last_iteration, start_training, written_rows

TENTHS = 10
SMOKE_STEPS = 100
LOGGED = 20  # steps per line, which has their median
PERIODS = ("train.checkpoint.period_epochs=16", "train.eval_period_epochs=80")
PAUSE = 0.2  # seconds between checks
COLUMNS = ("steps", "median, ms", "best, ms", "all, ms")
COLUMNS += ("resident, MiB", "of the loading process, MiB", "open files")
ENDED_EARLY = 75  # status of a training that was asked to end


class Look(NamedTuple):
    """The state of the training when it had written this many steps."""

    steps: int
    when: float
    seen: Seen


class Tenth(NamedTuple):
    """In the order of `COLUMNS`: milliseconds per step (the median and minimum of what the run
    writes, which are medians of `LOGGED` steps; and time divided by steps, including checkpoints
    and evaluations); and medians of the observations.
    """

    steps: int
    median: float
    best: float
    all: float
    resident: float
    loading: float
    files: float


def train(folder: Path, options: argparse.Namespace) -> tuple[list[dict[str, Any]], list[Look]]:
    """What the run wrote about its steps, and an observation for each time it did."""
    given = [f"train.max_iter={options.steps}", f"train.device={options.device}", *PERIODS]
    given += [f"train.log_period={options.logged}"]
    process = start_training(folder, "long", *given, threads=options.threads)
    timer = Timer(60 * options.minutes, process.terminate)
    timer.start()
    try:
        looks = watch(process, folder / "long", options.pause)
    finally:
        timer.cancel()
    finish(process, folder / "long.txt", ENDED_EARLY)
    return written_rows(folder / "long"), looks


def watch(process: subprocess.Popen, run: Path, pause: float) -> list[Look]:
    looks = [Look(0, math.nan, Seen(math.nan, math.nan, math.nan))]
    while process.poll() is None:
        steps = last_iteration(run) + 1
        if steps > looks[-1].steps:
            looks.append(Look(steps, time.monotonic(), look_at(process.pid)))
        time.sleep(pause)
    return looks[1:]


def tenths(rows: Sequence[dict[str, Any]], looks: Sequence[Look]) -> Iterator[Tenth]:
    steps = rows[-1]["iteration"] + 1
    for number in range(TENTHS):
        first, end = (steps * each // TENTHS for each in (number, number + 1))
        times = [1e3 * row["time"] for row in rows if first <= row["iteration"] < end
                 and "time" in row]  # fmt: skip
        seen = [look for look in looks if first < look.steps <= end]
        earlier = [look for look in looks if look.steps <= first][-1:]
        medians = (median(each) for each in zip(*(look.seen for look in seen), strict=True))
        whole = 1e3 * pace([*earlier, *seen])
        yield Tenth(end, median(times), min(times), whole, *medians)


def pace(looks: Sequence[Look]) -> float:
    """Seconds per step between the first and last observation."""
    steps = looks[-1].steps - looks[0].steps
    return (looks[-1].when - looks[0].when) / steps if steps else math.nan


def compare(each: Sequence[Tenth]) -> str:
    """The last tenth divided by the second one."""
    second, last = each[1], each[-1]
    rows = [
        [name, f"{was:.4g}", f"{now:.4g}", f"{now / was:.4f}"]
        for name, was, now in zip(COLUMNS[1:], second[1:], last[1:], strict=True)
    ]
    return table(["what", "second tenth", "last tenth", "ratio"], rows)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--steps", type=int, default=50_000, help="of the training (50,000)")
    parser.add_argument("--minutes", type=float, default=60, help="end it then (60)")
    options = parse_run(parser, arguments)
    options.logged, options.pause = LOGGED, PAUSE
    if options.smoke:
        options.steps, options.logged, options.pause = SMOKE_STEPS, 1, 0.005
    return options


def main(arguments: list[str] | None = None) -> None:
    """Trains, prints the tables, and writes them if requested."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    lines = describe_run(options.device)
    with tempfile.TemporaryDirectory() as folder:
        rows, looks = train(Path(folder), options)
    found = [*tenths(rows, looks)]
    lines += [
        f"training: {found[-1].steps} steps of `benchmarks/tiny_recipe.py`, a line each "
        f"{options.logged} of them, a checkpoint each 16 epochs and an evaluation each 80",
    ]
    cells = [[str(each.steps), *(f"{value:.4g}" for value in each[1:])] for each in found]
    publish("long_run", lines, [table(COLUMNS, cells), compare(found)], options)


if __name__ == "__main__":
    main()
