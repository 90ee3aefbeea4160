"""What most training scripts begin with."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import torch
from detectron2._subset import absent
from detectron2.config import LazyConfig
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.env import seed_all_rng
from detectron2.utils.events import (
    CommonMetricPrinter,
    EventWriter,
    JSONWriter,
    TensorboardXWriter,
)
from detectron2.utils.file_io import PathManager
from detectron2.utils.logger import setup_logger
from omegaconf import DictConfig, OmegaConf
from torch import nn
from torch.nn.parallel import DistributedDataParallel

__all__ = ["create_ddp_model", "default_argument_parser", "default_setup", "default_writers"]
__getattr__ = absent(__name__)


def create_ddp_model(
    model: nn.Module, *, fp16_compression: bool = False, **kwargs: Any
) -> nn.Module:
    """The model, wrapped in DistributedDataParallel where there is more than one process.

    Args:
        model: on its device.
        fp16_compression: send gradients as float16.
        kwargs: for DistributedDataParallel; `device_ids` is the local rank when not given, so a
            model on the CPU needs `device_ids=None`.
    """
    if comm.get_world_size() == 1:
        return model
    ddp = DistributedDataParallel(model, **{"device_ids": [comm.get_local_rank()], **kwargs})
    if fp16_compression:
        from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import fp16_compress_hook

        ddp.register_comm_hook(state=None, hook=fp16_compress_hook)
    return ddp


def default_argument_parser(epilog: str | None = None) -> argparse.ArgumentParser:
    """The options of a training script; what follows them is left in `opts`, as overrides.

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
    # One fixed port for each user: a process left over from before is then noticed.
    port = 2**15 + 2**14 + hash(os.getuid() if hasattr(os, "getuid") else 1) % 2**14
    add(
        "--dist-url",
        default=f"tcp://127.0.0.1:{port}",
        help="where the processes meet, or auto for any free port of this machine",
    )
    add("opts", nargs=argparse.REMAINDER, default=None, help="overrides: path.key=value ...")
    return parser


def default_setup(cfg: DictConfig, args: argparse.Namespace) -> None:
    """Make the output folder, start the log, note the environment, save the config, set the seed.

    Args:
        cfg: read for `train.output_dir` (or `output_dir`), `train.seed` (each process adds its
            rank; missing or negative = a random one) and `train.cudnn_benchmark`.
        args: logged; `config_file` and `eval_only` are looked at.
    """
    output_dir = OmegaConf.select(cfg, "output_dir") or OmegaConf.select(cfg, "train.output_dir")
    is_main, rank = comm.is_main_process(), comm.get_rank()
    if is_main and output_dir:
        PathManager.mkdirs(output_dir)
    setup_logger(output_dir, distributed_rank=rank, name="fvcore")
    logger = setup_logger(output_dir, distributed_rank=rank)
    logger.info(f"This is process {rank} of {comm.get_world_size()}")
    logger.info("Environment:\n" + collect_env_info())
    logger.info(f"Arguments: {args}")
    if config_file := getattr(args, "config_file", ""):
        logger.info(f"The config {config_file}:\n{Path(config_file).read_text()}")
    if is_main and output_dir:
        path = os.path.join(output_dir, "config.yaml")
        LazyConfig.save(cfg, path)
        logger.info(f"The whole config is in {path}")

    seed = OmegaConf.select(cfg, "train.seed", default=-1)
    seed_all_rng(None if seed < 0 else seed + rank)
    # Trying out algorithms does not pay for the few and ever different images of an evaluation.
    if not getattr(args, "eval_only", False):
        torch.backends.cudnn.benchmark = OmegaConf.select(
            cfg, "train.cudnn_benchmark", default=False
        )


def default_writers(output_dir: str, max_iter: int | None = None) -> list[EventWriter]:
    """Writers for the terminal, for `metrics.json` and for TensorBoard.

    Args:
        output_dir: where the files go; made if it is not there.
        max_iter: for the estimated time of arrival.
    """
    PathManager.mkdirs(output_dir)
    return [
        CommonMetricPrinter(max_iter),
        JSONWriter(os.path.join(output_dir, "metrics.json")),
        TensorboardXWriter(output_dir),
    ]
