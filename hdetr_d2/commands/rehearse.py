"""Try out what can go wrong in long trainings, in a short one with two processes on the CPU.

hdetr-d2 rehearse output/rehearsal
hdetr-d2 rehearse /disk/of/the/cluster --only sigterm full-disk --times 20

Each failure is caused at a random moment; the training then continues with --resume, and must end
with exactly the same weights, bit for bit, as an undisturbed one.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tabulate import tabulate

from hdetr_d2.errors import UserError
from hdetr_d2.rehearsal import FAILURES, Rehearsal, Trial

COLUMNS = ("failure", "times", "noticed", "passed", "longest until the end, s")


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("output", type=Path, help="folder for the trainings")
    parser.add_argument("--only", nargs="+", choices=FAILURES, default=[*FAILURES])
    parser.add_argument("--times", type=int, default=1, help="repetitions of each failure")
    parser.add_argument("--steps", type=int, default=80, help="steps of a training")
    parser.add_argument("--processes", type=int, default=2, help="processes of a training")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the moments at which failures strike"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="overrides of the config"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, or 1 if any result was not as expected."""
    parser = build_parser()
    args = parser.parse_args(arguments)
    if min(args.times, args.steps, args.processes) < 1:
        parser.error("--times, --steps and --processes must be at least 1")
    rehearsal = Rehearsal(args.output, options=args.set, steps=args.steps, count=args.processes)
    try:
        return _rehearse(rehearsal, args)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")


def _rehearse(rehearsal: Rehearsal, args: argparse.Namespace) -> int:
    done: dict[str, list[Trial]] = {}
    for name in args.only:
        if lacks := FAILURES[name].lacks(rehearsal.folder / "run"):
            print(f"{name} is left out: {lacks}", file=sys.stderr)
            continue
        done[name] = []
        for number in range(args.times):
            trial = rehearsal.trial(FAILURES[name], args.seed + number)
            done[name].append(trial)
            which = f"{name} {number + 1}/{args.times} (seed {args.seed + number})"
            for told in trial.faults or ["nothing was lost"]:
                print(f"{which}: {told}", file=sys.stderr, flush=True)
    print(table(done))
    return int(any(trial.faults for trials in done.values() for trial in trials))


def table(done: dict[str, list[Trial]]) -> str:
    """One line per failure, as Markdown."""
    rows = [
        [
            FAILURES[name].what,
            len(trials),
            sum(trial.touched for trial in trials),
            sum(not trial.faults for trial in trials),
            f"{max(trial.seconds for trial in trials):.1f}",
        ]
        for name, trials in done.items()
    ]
    return tabulate(rows, headers=COLUMNS, tablefmt="github", disable_numparse=True)
