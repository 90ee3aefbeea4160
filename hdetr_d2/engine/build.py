"""Builds the parts of a training from config nodes."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from detectron2.config import instantiate
from detectron2.utils import comm
from omegaconf import DictConfig, ListConfig, OmegaConf
from torch import nn
from torch.optim import Optimizer

from hdetr_d2.engine.ddp import DDP
from hdetr_d2.engine.device import choose_device
from hdetr_d2.engine.fsdp2 import FSDP2
from hdetr_d2.engine.parallel import Parallel
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone import without_pretrained

logger = logging.getLogger(__name__)


@contextmanager
def options_of(name: str) -> Iterator[None]:
    """Turns a constructor's errors about its arguments into a UserError about the node `name`."""
    try:
        yield
    except (TypeError, ValueError, KeyError, ImportError) as error:
        raise UserError(f"{name}: {' '.join(str(error).split())}") from error


def build(cfg: DictConfig, name: str) -> Any:
    """Instantiates the node `name` of the config, such as `model` or `dataloader.test`.

    Raises:
        UserError: the options of the node do not fit together.
    """
    with options_of(name):
        return instantiate(OmegaConf.select(cfg, name))


def build_model(cfg: DictConfig, *, weights_follow: bool) -> nn.Module:
    """The model on its device.

    Args:
        weights_follow: a complete checkpoint will be loaded next, so no pretrained weights are
            loaded.
    """
    with without_pretrained() if weights_follow else nullcontext():
        model = build(cfg, "model")
    return model.to(choose_device(cfg.train.device, comm.get_local_rank()))


def build_optimizer(node: DictConfig, model: nn.Module) -> Optimizer:
    """The optimizer of a config node whose `params` is a call that takes the model.

    Raises:
        UserError: an option is unknown or out of range.
    """
    options = {
        # Optimizers save their options, and checkpoints contain plain Python only.
        key: tuple(value) if isinstance(value, ListConfig) else value
        for key, value in node.items()
        if key != "params"
    }
    with options_of("optimizer"):
        params = instantiate({**node.params, "model": model})
        return instantiate({**options, "params": params})


def build_parallel(cfg: DictConfig) -> Parallel:
    """The strategy by which the processes of this run train the model together.

    Raises:
        UserError: there are options of a strategy that is not selected.
    """
    options, sharded = cfg.train.ddp, cfg.train.get("parallel") == "fsdp2"  # older configs lack it
    if sharded and options:
        raise UserError(
            f"train.ddp={dict(options)} has options of DistributedDataParallel, and "
            "train.parallel=fsdp2 takes its place: leave them out, or set train.parallel=ddp"
        )
    if comm.get_world_size() == 1:
        if sharded:
            logger.warning("train.parallel=fsdp2 in one process: there is nothing to shard")
        return Parallel()
    if not sharded:
        return DDP(**options)
    device = choose_device(cfg.train.device, comm.get_local_rank())
    return FSDP2(device=device, **cfg.train.get("fsdp2", {}))


def build_train_loader(cfg: DictConfig, iteration: int) -> Any:
    """The training batches of this process, continuing after `iteration` steps.

    Raises:
        UserError: the options of the loader do not fit together.
    """
    device = choose_device(cfg.train.device, comm.get_local_rank())
    given = {
        "accumulate": cfg.train.accumulate,
        "start_iteration": iteration,
        "pin_memory": device.type == "cuda",
    }
    with options_of("dataloader.train"):
        return instantiate({**cfg.dataloader.train, **given})


def build_validation_loader(cfg: DictConfig) -> Any:
    """The images of `dataloader.test` with their annotations, as in training.

    Raises:
        UserError: the options of the loader and its mapper do not fit together.
    """
    mapper = {**cfg.dataloader.test.mapper, "is_train": True}
    if (with_masks := cfg.dataloader.train.mapper.get("with_masks")) is not None:
        mapper["with_masks"] = with_masks
    with options_of("dataloader.test"):
        return instantiate({**cfg.dataloader.test, "mapper": mapper})
