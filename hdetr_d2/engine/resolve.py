"""From the options of a config to one in which every number is known and possible here."""

import logging
import os
import tempfile
from collections.abc import Callable
from typing import Any

from detectron2.utils import comm
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hdetr_d2.data import iterations_per_epoch, register_datasets
from hdetr_d2.engine.config import count_iterations
from hdetr_d2.engine.device import Precision, choose_device
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)


def resolve_config(cfg: DictConfig) -> None:
    """Register the data sets, then write what follows from them: the rest interpolates from there.

    Writes `data.num_classes`, `data.class_names`, `train.iterations_per_epoch` and, unless the user
    has set it, `train.max_iter`. Every process calls this.

    Raises:
        UserError: a data set cannot be read, or options contradict each other or this machine.
    """
    _check_interpolations(cfg)
    check_options(cfg)
    info = first_on_each_machine(lambda: register_datasets(cfg.data))
    cfg.data.class_names = list(info.class_names)
    cfg.data.num_classes = len(info.class_names)
    batch = cfg.dataloader.train.total_batch_size
    cfg.train.iterations_per_epoch = iterations_per_epoch(info.num_train_images, batch)
    if cfg.train.max_iter is None:
        cfg.train.max_iter = count_iterations(cfg.train.epochs, cfg.train.iterations_per_epoch)
    else:
        logger.info("train.max_iter=%d is set: it wins over train.epochs", cfg.train.max_iter)


def _check_interpolations(cfg: DictConfig) -> None:
    try:
        OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"config option {error.full_key}: {reason}") from error


def first_on_each_machine(function: Callable[[], Any]) -> Any:
    """Call `function` in every process, first in one of each machine: it may write files.

    Raises:
        UserError: in all processes if one of the first raised it, so that nobody waits in vain.
    """
    result, complaint = None, None
    leads = comm.get_local_rank() == 0
    if leads:
        try:
            result = function()
        except UserError as error:
            complaint = str(error)
    complaints = [text for text in comm.all_gather(complaint) if text]
    if complaints:
        raise UserError(complaints[0])
    return result if leads else function()


def check_options(cfg: DictConfig) -> None:
    """Raises UserError if an option makes no sense by itself, with others, or on this machine."""
    train = cfg.train
    device = choose_device(train.device, comm.get_local_rank())
    Precision.choose(enabled=train.amp.enabled, dtype=train.amp.dtype, device=device)
    for name in (
        "train.epochs",
        "train.accumulate",
        "train.log_period",
        "train.max_bad_steps",
        "train.checkpoint.period_epochs",
        "train.checkpoint.keep",
        "dataloader.train.total_batch_size",
    ):
        value = OmegaConf.select(cfg, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            raise UserError(f"{name}={value} must be a positive number")
    if not isinstance(train.seed, int) or train.seed < 0:
        raise UserError(f"train.seed={train.seed} must be a whole number that is not negative")
    if train.max_iter is not None and (not isinstance(train.max_iter, int) or train.max_iter <= 0):
        raise UserError(f"train.max_iter={train.max_iter} must be a positive whole number, or null")
    if train.ema.enabled and not 0 < train.ema.decay < 1:
        raise UserError(f"train.ema.decay={train.ema.decay} must lie between 0 and 1")
    _check_batch(cfg.dataloader.train.total_batch_size, comm.get_world_size(), train.accumulate)


def _check_batch(total: int, processes: int, accumulate: int) -> None:
    if total % (processes * accumulate):
        raise UserError(
            f"dataloader.train.total_batch_size={total} cannot be divided among {processes} "
            f"process(es) with train.accumulate={accumulate}: it must be a multiple of "
            f"{processes * accumulate}"
        )


def prepare_output(folder: str) -> None:
    """Make the output folder; raises UserError if nothing can be written there."""
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write to train.output_dir={folder}: {error.strerror}") from error
