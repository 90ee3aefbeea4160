"""What a process does before it builds anything: logging, random state, numerical precision."""

import argparse
import logging
import os
import random

import numpy as np
import torch
from detectron2.utils import comm
from omegaconf import DictConfig

from hdetr_d2._detectron2 import describe
from hdetr_d2.engine.device import choose_device, set_matmul_precision
from hdetr_d2.engine.lost_processes import tells_of_a_lost_process
from hdetr_d2.engine.messages import write_messages
from hdetr_d2.engine.resolve import prepare_output
from hdetr_d2.errors import UserError
from hdetr_d2.utils.memory import keep_freed_memory

logger = logging.getLogger(__name__)


def start_logging(folder: str) -> None:
    """Makes this project, Detectron2 and fvcore log to the console and to `folder`/log.txt.

    Raises:
        UserError: nothing can be written there.
    """
    prepare_output(folder)
    for handler in write_messages("hdetr_d2", "detectron2", "fvcore", folder=folder):
        handler.addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    """False for a UserError or a lost process, which are reported in one line without a traceback
    at the end of the run.
    """
    error = record.exc_info[1] if record.exc_info else None
    return error is None or not (isinstance(error, UserError) or tells_of_a_lost_process(error))


def start_run(cfg: DictConfig, args: argparse.Namespace) -> None:
    """Logs what runs where, sets the precision of matrix products, and seeds the random state for
    the weights.

    Raises:
        UserError: an invalid device or precision.
    """
    device = choose_device(cfg.train.device, comm.get_local_rank())
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    logger.info("%s; torch %s; %d processes, this one on %s (%s)", describe(), torch.__version__,
                comm.get_world_size(), device, name)  # fmt: skip
    logger.info("Arguments: %s", vars(args))
    if device.type == "cpu":
        keep_freed_memory()
    # Older configs lack it.
    set_matmul_precision(cfg.train.get("matmul_precision", "highest"), device)
    torch.manual_seed(cfg.train.seed)
    np.random.seed(cfg.train.seed)
    random.seed(cfg.train.seed)
    if cfg.train.deterministic:
        # cuBLAS reads this when CUDA starts.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        # This project's kernels support it. On CUDA some PyTorch operations have no deterministic
        # implementation (cumulative sums; the backward pass of grid_sample, which replaces kernels
        # that are not built): torch warns about each of them.
        torch.use_deterministic_algorithms(True, warn_only=device.type == "cuda")
