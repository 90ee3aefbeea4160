#!/usr/bin/env python
"""A training that is killed (SIGKILL) at random moments and each time goes on with `--resume`,
against one that runs from its first to its last step: what they leave has to be equal to the bit.

python benchmarks/kills.py --threads 1 --write
python benchmarks/kills.py --threads 1 --kills 100 --steps 5000 --seed 1
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import random
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from report import describe_run, parse_run, publish, run_parser, table
from tiny_training import finish, last_iteration, start_training, written_rows

from hdetr_d2.checkpoint import read_checkpoint

# A checkpoint every 15 steps, so that many kills find one half written, with evaluations in
# between.
PERIODS = ("train.checkpoint.period_epochs=0.25", "train.eval_period_epochs=1.5")
STARTING, STEPPING, WRITING = "before the first step", "between two lines", "in a checkpoint"
MOMENTS = (WRITING, STEPPING, STARTING, STEPPING)
LONGEST_START = 5.0  # seconds
PAUSE = 2e-3  # seconds between checks
FILES = {
    "model_final.pth": ("model", "optimizer", "ema"),
    "model_best.pth": ("model",),
}


class Killer:
    """Draws the moments of the kills from a seed. How much is done by then depends on the machine;
    the outcome must not.
    """

    def __init__(self, run: Path, *, seed: int, longest: int) -> None:
        """
        Args:
            longest: maximum number of steps before a process is killed.
        """
        self.run = run
        self.random = random.Random(seed)
        self.longest = longest

    def kill(self, process: subprocess.Popen, moment: str) -> str:
        """Waits for such a moment and kills; returns what was found then."""
        if moment == STARTING:
            time.sleep(self.random.uniform(0, LONGEST_START))
        else:
            begun, steps = last_iteration(self.run), self.random.randint(1, self.longest)
            _wait(process, lambda: last_iteration(self.run) >= begun + steps)
            if moment == WRITING:
                _wait(process, lambda: bool(self._half_written()))
            time.sleep(self.random.uniform(0, 0.03))
        half = self._half_written()
        process.kill()
        process.wait()
        return WRITING if half else moment

    def _half_written(self) -> list[Path]:
        return [*self.run.glob("*.pth.tmp")]


def _wait(process: subprocess.Popen, is_so: Callable[[], bool]) -> None:
    while not is_so() and process.poll() is None:
        time.sleep(PAUSE)


def train(folder: Path, name: str, options: argparse.Namespace) -> subprocess.Popen:
    given = [f"train.max_iter={options.steps}", f"train.device={options.device}", *PERIODS]
    given += ["train.log_period=1", f"train.deterministic={options.device == 'cuda'}"]
    return start_training(folder, name, *given, threads=options.threads)


def measure(folder: Path, options: argparse.Namespace) -> tuple[Counter[str], list[list[str]]]:
    """How many kills happened when, and a row for each run."""
    finish(train(folder, "straight", options), folder / "straight.txt")
    killer = Killer(
        folder / "killed", seed=options.seed, longest=max(1, options.steps // options.kills)
    )
    came: Counter[str] = Counter()
    for number in range(options.kills):
        moment = MOMENTS[number % len(MOMENTS)]
        came[killer.kill(train(folder, "killed", options), moment)] += 1
    finish(train(folder, "killed", options), folder / "killed.txt")
    straight, killed = folder / "straight", folder / "killed"
    differing = [*differences(straight, killed)]
    if differing:
        raise SystemExit(f"not equal to the bit: {', '.join(differing)}")
    return came, [row(straight, straight), row(killed, straight)]


def row(run: Path, straight: Path) -> list[str]:
    learned, whole = (
        sum("total_loss" in each for each in written_rows(r)) for r in (run, straight)
    )
    evaluations = len(evaluated(run))
    return [run.name, str(learned), f"{learned / whole:.3f}", str(evaluations)]


def evaluated(run: Path) -> dict[int, float]:
    """The AP of the last evaluation after each iteration that has one."""
    rows = written_rows(run)
    return {each["iteration"]: each["bbox/AP"] for each in rows if "bbox/AP" in each}


def differences(one: Path, other: Path) -> Iterator[str]:
    """What differs between the results of two runs."""
    for name, parts in FILES.items():
        contents = [read_checkpoint(run / name) for run in (one, other)]
        for part in parts:
            if not same(*(content[part] for content in contents)):
                yield f"{name}, {part}"
        if len({content["metadata"]["iteration"] for content in contents}) > 1:
            yield f"{name}, iteration"
    if evaluated(one) != evaluated(other):
        yield "evaluations"


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--kills", type=int, default=30, help="of one training (30)")
    parser.add_argument("--steps", type=int, default=1500, help="of the training (1,500)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills (0)")
    options = parse_run(parser, arguments)
    if options.smoke:
        options.kills, options.steps = 1, 48
    return options


def main(arguments: list[str] | None = None) -> None:
    """Trains, kills, compares, prints the tables, and writes them if requested."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    lines = describe_run(options.device)
    with tempfile.TemporaryDirectory() as folder:
        came, rows = measure(Path(folder), options)
    lines += [
        f"training: {options.steps} steps of `benchmarks/tiny_recipe.py`, a checkpoint each 15 "
        f"steps and an evaluation each 90; seed of the kills: {options.seed}",
        "weights, moving average, optimizer, the best weights and all evaluations are equal to "
        "those of the straight run, to the bit",
    ]
    kills = table(["kills that came", "number"], [[each, str(came[each])] for each in came])
    learned = table(["run", "steps learned", "ratio", "evaluations"], rows)
    publish("kills", lines, [kills, learned], options)


if __name__ == "__main__":
    main()
