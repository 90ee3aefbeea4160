"""The usual beginning of training scripts."""

import argparse
import os
import sys

from detectron2._subset import absent

__all__ = ["default_argument_parser"]
__getattr__ = absent(__name__)


def default_argument_parser(epilog: str | None = None) -> argparse.ArgumentParser:
    """The options of a training script; the remaining arguments are kept in `opts`, as overrides.

    Args:
        epilog: shown below the options; None = examples.
    """
    script = sys.argv[0]
    parser = argparse.ArgumentParser(
        epilog=epilog
        or f"""
examples:
  on one machine:     {script} --config-file CONFIG --num-gpus 8
  with other values:  {script} --config-file CONFIG train.seed=1 optimizer.lr=1e-4
  on two machines:    {script} --num-machines 2 --machine-rank 0 --dist-url URL [...]
                      {script} --num-machines 2 --machine-rank 1 --dist-url URL [...]
""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--config-file", default="", metavar="FILE", help="path to the config")
    add("--resume", action="store_true", help="go on from the last checkpoint of the output folder")
    add("--eval-only", action="store_true", help="evaluate and do not train")
    add("--num-gpus", type=int, default=1, help="processes on each machine")
    add("--num-machines", type=int, default=1, help="machines in all")
    add("--machine-rank", type=int, default=0, help="number of this machine, from 0")
    # One fixed port per user, so that a leftover process is noticed.
    port = 2**15 + 2**14 + hash(os.getuid() if hasattr(os, "getuid") else 1) % 2**14
    add(
        "--dist-url",
        default=f"tcp://127.0.0.1:{port}",
        help="where the processes meet, or auto for any free port of this machine",
    )
    add("opts", nargs=argparse.REMAINDER, default=None, help="overrides: path.key=value ...")
    return parser
