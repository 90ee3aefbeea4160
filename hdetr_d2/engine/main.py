"""The training script: its arguments, and what every process does with them."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from detectron2.engine import default_argument_parser
from omegaconf import DictConfig

from hdetr_d2.engine.config import config_text, load_config
from hdetr_d2.engine.counterparts import warn_of_counterparts
from hdetr_d2.engine.evaluate import do_eval
from hdetr_d2.engine.launch import is_started_anew, launch
from hdetr_d2.engine.resolve import resolve_config
from hdetr_d2.engine.setup import start_logging, start_run
from hdetr_d2.engine.train import do_train
from hdetr_d2.engine.words import add_words, overrides_of
from hdetr_d2.errors import UserError

EXAMPLES = """
examples:
  on a folder:      %(prog)s --config-file CONFIG --data FOLDER --epochs 12 --scheme hybrid_branch
  train:            %(prog)s --config-file CONFIG train.output_dir=output/mine optimizer.lr=1e-4
  go on:            %(prog)s --config-file CONFIG --resume train.output_dir=output/mine
  evaluate:         %(prog)s --config-file CONFIG --eval-only train.init_checkpoint=FILE
  8 GPUs:           %(prog)s --config-file CONFIG --num-gpus 8
  on the CPU:       %(prog)s --config-file CONFIG --num-gpus 0
  2 on the CPU:     %(prog)s --config-file CONFIG --num-gpus 2 train.device=cpu
  with torchrun:    torchrun --nproc-per-node 8 -m hdetr_d2 train --config-file CONFIG
"""


def argument_parser() -> argparse.ArgumentParser:
    """Parser for Detectron2's arguments, --print-config and the shorthand arguments."""
    parser = default_argument_parser(epilog=EXAMPLES)
    parser.add_argument(
        "--print-config",
        action="store_true",
        help="print the config with the overrides as YAML, and stop",
    )
    add_words(parser)
    parser.set_defaults(dist_url="auto")
    return parser


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the arguments; options may also come after overrides."""
    parser = argument_parser()
    args, overrides = parser.parse_args(argv), []
    # argparse leaves everything after the first override in `opts`, where the next option is
    # searched for.
    while behind := [
        i for i, each in enumerate(args.opts) if each.startswith("--") and each != "--"
    ]:
        overrides += args.opts[: behind[0]]
        args = parser.parse_args(args.opts[behind[0] :], args)
    args.opts = overrides + args.opts
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the script.

    Returns:
        The exit status: 0, or 2 after one line on stderr that says what to fix.
    """
    args = parse(argv)
    try:
        if args.print_config:
            print(config_text(_configured(args)), end="")
        else:
            start(args)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def start(args: argparse.Namespace) -> Any:
    """Starts the processes of the run, which train or evaluate.

    Args:
        args: as parsed by `argument_parser`.

    Returns:
        The result of `run` if this is the only process, otherwise None.

    Raises:
        UserError: anything the user can fix.
    """
    cfg = _configured(args)
    return launch(
        run,
        args,
        device=cfg.train.device,
        num_gpus=args.num_gpus,
        num_machines=args.num_machines,
        machine_rank=args.machine_rank,
        dist_url=args.dist_url,
        # Older configs lack both.
        timeout_minutes=cfg.train.get("timeout_minutes", 30),
        host_timeout_seconds=cfg.train.get("host_timeout_seconds", 60),
    )


def _configured(args: argparse.Namespace) -> DictConfig:
    """The config with everything that was requested; `args.opts` then contains all overrides."""
    args.opts = [*overrides_of(args), *args.opts]
    cfg = load_config(args.config_file, args.opts)
    return _take_cpu(cfg, args) if args.num_gpus == 0 else cfg


def _take_cpu(cfg: DictConfig, args: argparse.Namespace) -> DictConfig:
    """The config for the CPU; changes `args` to request one process."""
    if str(cfg.train.device).startswith("cuda"):
        raise UserError(f"--num-gpus 0 is the CPU, and train.device={cfg.train.device}: which?")
    args.num_gpus, args.opts = 1, [*args.opts, "train.device=cpu"]
    return load_config(args.config_file, args.opts)


def run(args: argparse.Namespace) -> dict[str, Any] | None:
    """Trains or evaluates in one process of the run.

    Returns:
        The results of an evaluation, in the main process; None for a training.
    """
    cfg = load_config(args.config_file, args.opts)
    start_logging(cfg.train.output_dir)
    if not args.eval_only:
        warn_of_counterparts(cfg, load_config(args.config_file))
    resolve_config(cfg, for_training=not args.eval_only)
    start_run(cfg, args)
    if args.eval_only:
        return do_eval(cfg)
    do_train(cfg, resume=args.resume or is_started_anew())
    return None


if __name__ == "__main__":
    sys.exit(main())
