"""Resolves the options of a config, after which every number is known and valid."""

import logging
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from detectron2.utils import comm
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hdetr_d2.data import iterations_per_epoch, register_datasets
from hdetr_d2.engine.build import build
from hdetr_d2.engine.channels import follow_channels
from hdetr_d2.engine.class_names import get_class_names, put_class_names
from hdetr_d2.engine.compiling import PARTS
from hdetr_d2.engine.config import count_iterations
from hdetr_d2.engine.device import Precision, choose_device
from hdetr_d2.engine.few_iterations import warn_of_few_iterations
from hdetr_d2.engine.limits import warn_of_limits
from hdetr_d2.errors import UserError

logger = logging.getLogger(__name__)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int)


# Option names, the condition on their values, and its description.
RULES: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (
        (
            "train.amp.enabled",
            "train.cuda_graphs",
            "train.deterministic",
            "train.ema.enabled",
            "train.resume_with_changes",
            "train.mlflow.enabled",
            "train.wandb.enabled",
            "data.crowds_as_objects",
            "data.keep_empty",
            "data.sizes_from_files",
        ),
        lambda value: value is None or isinstance(value, bool),
        "true or false",
    ),
    (
        (
            "train.accumulate",
            "train.log_period",
            "train.max_bad_steps",
            "train.checkpoint.keep",
            "dataloader.train.total_batch_size",
        ),
        lambda value: _is_whole(value) and value > 0,
        "a positive whole number",
    ),
    (
        ("train.epochs", "train.checkpoint.period_epochs"),
        lambda value: _is_number(value) and value > 0,
        "a positive number",
    ),
    (
        ("train.timeout_minutes", "train.host_timeout_seconds"),
        lambda value: value is None or (_is_number(value) and value > 0),
        "a positive number",
    ),
    (
        ("train.keep_bad_steps",),
        lambda value: value is None or (_is_whole(value) and value >= 0),
        "a whole number that is not negative",
    ),
    (
        ("train.eval_period_epochs",),
        lambda value: _is_number(value) and value >= 0,
        "a number that is not negative",
    ),
    (
        ("train.validation_loss.period_epochs",),
        lambda value: value is None or (_is_number(value) and value >= 0),
        "a number that is not negative",
    ),
    (
        ("train.clip_grad_norm",),
        lambda value: value is None or (_is_number(value) and value > 0),
        "a positive number, or null",
    ),
    (
        ("data.repeat_threshold",),
        lambda value: value is None or (_is_number(value) and 0 < value <= 1),
        "a share of the images in (0, 1], or null",
    ),
    (
        ("data.val_share",),
        lambda value: value is None or (_is_number(value) and 0 < value < 1),
        "a share of the images in (0, 1)",
    ),
    (
        ("data.split_seed",),
        lambda value: value is None or _is_whole(value),
        "a whole number",
    ),
    (
        ("data.pixel_range",),
        lambda value: value is None or (_is_whole(value) and value > 0),
        "a positive whole number, the value that is white, or null",
    ),
    (
        ("data.channels",),
        lambda value: value is None or (_is_whole(value) and value > 0),
        "a positive whole number, that of the channels in every file, or null for RGB of 8 bits",
    ),
    (
        ("data.shown_channels",),
        lambda value: value is None or (isinstance(value, Sequence) and all(map(_is_whole, value))),
        "a list of indices of channels, as [3,1,0], or null",
    ),
    (
        ("data.on_missing_mask",),
        lambda value: value in (None, "stop", "skip"),
        "stop or skip",
    ),
    (
        ("data.skip_classes",),
        lambda value: (
            value is None
            or (
                isinstance(value, Sequence)
                and not isinstance(value, str)
                and all(map(_is_text, value))
            )
        ),
        "a list of names of classes, as [animals]",
    ),
    (
        ("train.compile",),
        lambda value: (
            value is None
            or (
                isinstance(value, Sequence)
                and not isinstance(value, str)
                and all(part in PARTS for part in value)
            )
        ),
        f"a list of {', '.join(PARTS)}",
    ),
    (
        ("train.parallel",),
        lambda value: value in (None, "ddp", "fsdp2"),
        "ddp or fsdp2",
    ),
    (
        ("train.fsdp2.min_parameters",),
        lambda value: value is None or (_is_whole(value) and value >= 0),
        "a whole number that is not negative",
    ),
    (
        ("train.seed",),
        lambda value: _is_whole(value) and value >= 0,
        "a whole number that is not negative",
    ),
    (
        ("train.max_iter", "train.reference_batch"),
        lambda value: value is None or (_is_whole(value) and value > 0),
        "a positive whole number, or null",
    ),
)


def resolve_config(cfg: DictConfig, *, for_training: bool = True) -> None:
    """Registers the data sets, then sets all options that depend on them; the rest are
    interpolations.

    Sets `data.num_classes`, `data.class_names`, `data.thing_classes`, `data.image_counts`,
    `train.iterations_per_epoch` and, unless the user has set them, `data.pixel_range` and
    `train.max_iter`; with `data.channels`, what the model needs to know about them; with
    `train.reference_batch`, also `optimizer.lr`; with `data.folder`, the options that it replaces.
    Every process calls this.

    Args:
        for_training: if False, the training data may be missing, and the length of the training is
            left open.

    Raises:
        UserError: a data set cannot be read, or options contradict each other or do not fit this
            machine.
    """
    _check_interpolations(cfg)
    check_options(cfg)
    if for_training:
        build(cfg, "lr_multiplier")  # raises its errors before any data are read
        _scale_rate(cfg)
    info = first_on_each_machine(
        lambda: register_datasets(cfg.data, cfg.dataloader, for_training=for_training)
    )
    cfg.data.update(info.replaced)
    _tell_of_other_names(cfg, info.class_names)
    put_class_names(cfg, info.class_names)
    things = info.thing_classes
    cfg.data.thing_classes = [*range(cfg.data.num_classes)] if things is None else things
    cfg.data.image_counts = info.image_counts
    cfg.data.pixel_range = info.pixel_range
    follow_channels(cfg, info.train_files)
    warn_of_limits(cfg, info.most_objects)
    if info.num_train_images is None:
        return
    batch = cfg.dataloader.train.total_batch_size
    cfg.train.iterations_per_epoch = iterations_per_epoch(info.num_train_images, batch)
    if cfg.train.max_iter is None:
        cfg.train.max_iter = count_iterations(cfg.train.epochs, cfg.train.iterations_per_epoch)
        warn_of_few_iterations(cfg)
    else:
        logger.info("train.max_iter=%d is set: it wins over train.epochs", cfg.train.max_iter)


def _tell_of_other_names(cfg: DictConfig, found: Sequence[str]) -> None:
    if cfg.data.get("class_names") is not None and get_class_names(cfg) != list(found):
        logger.warning(
            "data.class_names=[%s] is replaced: the data set has [%s]",
            ", ".join(get_class_names(cfg)),
            ", ".join(found),
        )


def _scale_rate(cfg: DictConfig) -> None:
    """Scales `optimizer.lr` with the batch size; only once, since a saved config has the new
    rate.
    """
    reference = cfg.train.get("reference_batch")
    if reference is None:
        return
    if not _is_number(cfg.optimizer.get("lr")):
        raise UserError("train.reference_batch is set, but there is no optimizer.lr to scale")
    batch, rate = cfg.dataloader.train.total_batch_size, cfg.optimizer.lr
    cfg.optimizer.lr, cfg.train.reference_batch = rate * batch / reference, None
    logger.info(
        "optimizer.lr=%g is for a batch of %d: with %d it is %g",
        rate,
        reference,
        batch,
        cfg.optimizer.lr,
    )


def _check_interpolations(cfg: DictConfig) -> None:
    try:
        OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"config option {error.full_key}: {reason}") from error


def first_on_each_machine(function: Callable[[], Any]) -> Any:
    """Calls `function` in every process, but first in only one process per machine, because it may
    write files.

    Raises:
        UserError: raised in all processes if one of the first raised it, so that none waits in
            vain.
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
    """Raises UserError if an option is invalid by itself, in combination with others, or on this
    machine.
    """
    for names, fits, rule in RULES:
        for name in names:
            value = OmegaConf.select(cfg, name)
            if not fits(value):
                raise UserError(f"{name}={value} must be {rule}")
    train = cfg.train
    device = choose_device(train.device, comm.get_local_rank())
    Precision.choose(enabled=train.amp.enabled, dtype=train.amp.dtype, device=device)
    _check_batch(cfg.dataloader.train.total_batch_size, comm.get_world_size(), train.accumulate)


def _check_batch(total: int, processes: int, accumulate: int) -> None:
    if total % (processes * accumulate):
        raise UserError(
            f"dataloader.train.total_batch_size={total} cannot be divided among {processes} "
            f"process(es) with train.accumulate={accumulate}: it must be a multiple of "
            f"{processes * accumulate}"
        )


def prepare_output(folder: str) -> None:
    """Creates the output folder; raises UserError if nothing can be written there."""
    if not folder or not isinstance(folder, str):
        raise UserError(f"train.output_dir={folder} must be the path of a folder")
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"cannot write to train.output_dir={folder}: {error.strerror}") from error
