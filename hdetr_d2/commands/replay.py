"""Replay a non-finite training step that was stored by train.keep_bad_steps.

hdetr-d2 replay output/mine/bad_steps/0000123
"""

import argparse
from collections.abc import Sequence

from hdetr_d2.engine.replay import replay
from hdetr_d2.errors import UserError


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("folder", help="folder of the step")
    parser.add_argument(
        "--process",
        type=int,
        default=0,
        help="process whose batch to repeat, if there were several",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    try:
        replayed = replay(args.folder, process=args.process, device=args.device)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    for name, value in replayed.losses.items():
        print(f"{name:24} {value:.6g}")
    print("first output that is not finite:", replayed.output or "none")
    print("first gradient that is not finite:", replayed.gradient or "none")
    return 0
