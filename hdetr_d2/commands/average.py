"""Write the mean of several checkpoints of one model. Evaluate it before you use it.

hdetr-d2 average output/mine --last 3 --output output/mine/model_mean.pth
hdetr-d2 average one/model_final.pth two/model_final.pth --output mean.pth
"""

import argparse
from collections.abc import Sequence

from hdetr_d2.engine.averaging import average_checkpoints, last_checkpoints
from hdetr_d2.errors import UserError


def build_parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument(
        "checkpoints", nargs="+", help=".pth files, or with --last the folder of a run"
    )
    parser.add_argument(
        "--last", type=int, metavar="N", help="average the last N checkpoints of the run"
    )
    parser.add_argument("--output", required=True, help="new .pth file to write")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    parser = build_parser()
    args = parser.parse_args(arguments)
    paths = args.checkpoints
    try:
        if args.last is not None:
            if len(paths) != 1 or args.last < 2:
                parser.error("--last N takes the folder of one run, and N is at least 2")
            paths = last_checkpoints(paths[0], args.last)
        average_checkpoints(paths, args.output)
    except UserError as error:
        parser.exit(2, f"error: {error}\n")
    print(f"The mean of {', '.join(map(str, paths))}: {args.output}")
    return 0
