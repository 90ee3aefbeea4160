#!/usr/bin/env python
"""`hdetr-d2 predict --append` on very many small images in tar files and a list of names, by
several processes, of which the first one is killed (SIGKILL) in the middle and started again.

python benchmarks/predict_at_scale.py --threads 1 --write
python benchmarks/predict_at_scale.py --threads 1 --images 1000000 --processes 8

Every image has to be there once. What is measured: images per second, and whether memory grows.
"""

import hdetr_d2  # noqa: F401  (decides which detectron2 is imported)

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import IO, NamedTuple

import torch
from processes import Seen, look_at
from report import describe_run, parse_run, publish, run_parser, table
from small_images import SIDE, draw, is_broken
from tiny_training import finish, start, start_training

TENTHS = 10
PAUSE = 0.2  # seconds between checks
TRAINED = ("train.max_iter=20", "train.eval_period_epochs=0")
COLUMNS = ("process", "images", "images/s", "resident, MiB", "open files", "ratio of memory")


class Look(NamedTuple):
    """An observation of a process when its file had this many images. life: 0, and 1 after the
    kill.
    """

    images: int
    when: float
    seen: Seen
    life: int


class Watched:
    """One process of the prediction."""

    def __init__(
        self, rank: int, folder: Path, sources: Sequence[str], options: argparse.Namespace
    ) -> None:
        count = options.processes
        self.rank = rank
        self.share = len(range(rank, options.images, count))
        self.path = folder / "found" / f"results-{rank:05d}-of-{count:05d}.jsonl"
        self.said = folder / f"predict{rank}.txt"
        self.looks: list[Look] = []
        self._command = [sys.executable, "-m", "hdetr_d2", "predict"]
        self._command += [f"{folder}/trained/model_final.pth", *sources, "--append"]
        self._command += ["--output", f"{folder}/found", "--score-threshold", "0"]
        self._command += ["--batch-size", str(options.batch), "--device", options.device]
        self._environment = {"RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_RANK": "0"}
        self._threads = options.threads
        self._life, self._images = -1, 0
        self._file: IO[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Starts, or continues."""
        self._life += 1
        self.process = start(self._command, self.said, threads=self._threads, **self._environment)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def look(self) -> int:
        """The number of completed images."""
        if self._file is None and self.path.exists():
            self._file = self.path.open("rb")
        new = self._file.read().count(b"\n") if self._file else 0
        if new:
            self._images += new
            seen = look_at(self.process.pid)
            self.looks.append(Look(self._images, time.monotonic(), seen, self._life))
        return self._images

    def rows(self) -> Iterator[list[str]]:
        """One row for each tenth of its images, for the life in which it ended; memory is compared
        with the second tenth of that life.
        """
        parts: list[tuple[int, list[Look]]] = []
        for number in range(TENTHS):
            first, end = (self.share * each // TENTHS for each in (number, number + 1))
            looks = [look for look in self.looks if first < look.images <= end]
            parts.append((end, [look for look in looks if look.life == looks[-1].life]))
        for end, looks in parts:
            if looks:
                life = [each for _, each in parts if each and each[0].life == looks[0].life]
                base = life[min(1, len(life) - 1)]
                yield [str(self.rank), str(end), *describe(looks, base)]


def describe(looks: Sequence[Look], base: Sequence[Look]) -> list[str]:
    """The last four of `COLUMNS`."""
    memory, before = (median(look.seen.resident for look in each) for each in (looks, base))
    files = median(look.seen.files for look in looks)
    seconds = looks[-1].when - looks[0].when
    rate = (looks[-1].images - looks[0].images) / seconds if seconds else float("nan")
    return [f"{rate:.0f}", f"{memory:.1f}", f"{files:.0f}", f"{memory / before:.4f}"]


def predict(folder: Path, options: argparse.Namespace) -> tuple[list[list[str]], Counter[str]]:
    """The rows of the table, and counts of images."""
    finish(
        start_training(folder, "trained", *TRAINED, threads=options.threads),
        folder / "trained.txt",
    )
    sources = draw(folder, options.images)
    watched = [Watched(rank, folder, sources, options) for rank in range(options.processes)]
    first, killed = watched[0], False
    while any(each.process.poll() is None for each in watched):
        for each in watched:
            each.look()
        if not killed and first.look() >= first.share // 2:
            first.kill()
            first.start()
            killed = True
        time.sleep(options.pause)
    for each in watched:
        finish(each.process, each.said)
        each.look()
    return [row for each in watched for row in each.rows()], check(watched, options.images)


def check(watched: Sequence[Watched], images: int) -> Counter[str]:
    """How many images have detections, or an error. Ends this process if one is missing,
    duplicated, or does not match its number.
    """
    said: Counter[str] = Counter()
    seen: set[int] = set()
    for each in watched:
        with each.path.open(encoding="utf-8") as lines:
            for line in lines:
                row = json.loads(line)
                number = row["id"] - 1
                right = row["file_name"].endswith(f"{number:07d}.jpg")
                if number in seen or not right or ("error" in row) != is_broken(number):
                    raise SystemExit(f"image {number} is double or another one: {line}")
                seen.add(number)
                said["error" if "error" in row else "found" if row["detections"] else "none"] += 1
    if seen != set(range(images)):
        raise SystemExit(f"{images - len(seen)} images are missing")
    return said


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = run_parser(__doc__)
    parser.add_argument("--images", type=int, default=100_000, help="(100,000)")
    parser.add_argument("--processes", type=int, default=2, help="(2)")
    parser.add_argument("--batch", type=int, default=16, help="images of a forward pass (16)")
    options = parse_run(parser, arguments)
    options.pause = PAUSE
    if options.smoke:
        options.images, options.pause = 400, 0.01
    return options


def main(arguments: list[str] | None = None) -> None:
    """Predicts, kills, checks for duplicates and gaps, prints the table, and writes it if
    requested.
    """
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    lines = describe_run(options.device)
    with tempfile.TemporaryDirectory() as folder:
        rows, said = predict(Path(folder), options)
    lines += [
        f"images: {options.images} of {SIDE}x{SIDE}, a tenth by a list of names, the others in tar "
        f"files; {options.batch} in a forward pass of the model of `benchmarks/tiny_recipe.py`",
        "process 0 was killed in the middle and started again",
        f"rows: {said.total()}, each image once; {said['found']} with detections, {said['none']} "
        f"without, {said['error']} with an error (as many are cut off)",
    ]
    publish("predict_at_scale", lines, [table(COLUMNS, rows)], options)


if __name__ == "__main__":
    main()
